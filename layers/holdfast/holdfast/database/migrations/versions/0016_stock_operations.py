"""Transfers of goods between warehouses, and alerts about warehouses that fill up."""

from holdfast.database.migrations.run import apply_sql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0016_stock_operations.up.sql")


def downgrade() -> None:
    apply_sql("0016_stock_operations.down.sql")
