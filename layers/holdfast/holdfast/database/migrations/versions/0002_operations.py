"""What operations need: the outbox, the inbox of process failures, the log of API calls, the audit log."""

from holdfast.database.migrations.run import apply_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0002_operations.up.sql")


def downgrade() -> None:
    apply_sql("0002_operations.down.sql")
