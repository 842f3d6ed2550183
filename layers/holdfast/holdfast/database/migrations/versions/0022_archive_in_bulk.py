"""The archive at a hundred thousand orders: the same documents, checks and rows at a fraction of the work."""

from holdfast.database.migrations.run import apply_sql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0022_archive_in_bulk.up.sql")


def downgrade() -> None:
    apply_sql("0022_archive_in_bulk.down.sql")
