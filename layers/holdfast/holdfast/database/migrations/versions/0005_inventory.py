"""Inventory: warehouses, their load and capacity, stock levels, and every movement."""

from holdfast.database.migrations.run import apply_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0005_inventory.up.sql")


def downgrade() -> None:
    apply_sql("0005_inventory.down.sql")
