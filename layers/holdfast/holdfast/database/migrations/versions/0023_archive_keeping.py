"""Legal holds, months brought back from cold storage, and a ledger whose oldest months may go."""

from holdfast.database.migrations.run import apply_sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0023_archive_keeping.up.sql")


def downgrade() -> None:
    apply_sql("0023_archive_keeping.down.sql")
