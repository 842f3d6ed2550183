"""Money: payments, every event about them, refunds, disputes."""

from holdfast.database.migrations.run import apply_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0007_payments.up.sql")


def downgrade() -> None:
    apply_sql("0007_payments.down.sql")
