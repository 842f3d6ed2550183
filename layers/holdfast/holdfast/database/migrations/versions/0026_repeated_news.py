"""An order can be restored from the archive even if its old payment events were repeated meanwhile."""

from holdfast.database.migrations.run import apply_sql

revision = "0026"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0026_repeated_news.up.sql")


def downgrade() -> None:
    apply_sql("0026_repeated_news.down.sql")
