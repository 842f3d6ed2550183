"""Mails to shoppers, and the addresses that are sent none."""

from holdfast.database.migrations.run import apply_sql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0019_notifications.up.sql")


def downgrade() -> None:
    apply_sql("0019_notifications.down.sql")
