"""Reviews and discarded dead letters can be erased."""

from holdfast.database.migrations.run import apply_sql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0028_erased_rows.up.sql")


def downgrade() -> None:
    apply_sql("0028_erased_rows.down.sql")
