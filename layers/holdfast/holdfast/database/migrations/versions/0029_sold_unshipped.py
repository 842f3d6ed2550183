"""For a stock level, how many pieces are sold but have not left the warehouse can be queried."""

from holdfast.database.migrations.run import apply_sql

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0029_sold_unshipped.up.sql")


def downgrade() -> None:
    apply_sql("0029_sold_unshipped.down.sql")
