"""A second refund that fails is named in the open failure; a lost dispute takes what a failed refund had kept from it;
who gave up an attempt to pay is in the audit log."""

from holdfast.database.migrations.run import apply_sql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0036_failed_refunds.up.sql")
    apply_sql("0036_payments_given_up.up.sql")


def downgrade() -> None:
    apply_sql("0036_payments_given_up.down.sql")
    apply_sql("0036_failed_refunds.down.sql")
