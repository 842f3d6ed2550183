"""Legal holds, months restored from cold storage, and a stock ledger whose oldest months may be dropped."""

from holdfast.database.migrations.run import apply_sql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0023_archive_keeping.up.sql")


def downgrade() -> None:
    apply_sql("0023_archive_keeping.down.sql")
