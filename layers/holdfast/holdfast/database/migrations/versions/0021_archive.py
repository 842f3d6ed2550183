"""The archive: orders that left the active tables stay as readable as before, and are provably unchanged."""

from holdfast.database.migrations.run import apply_sql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0021_archive.up.sql")
    apply_sql("0021_archive_documents.up.sql")
    apply_sql("0021_archive_work.up.sql")


def downgrade() -> None:
    apply_sql("0021_archive.down.sql")
