"""What can be sold: products, and the variants that carry the SKU and the price."""

from holdfast.database.migrations.run import apply_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0004_catalog.up.sql")


def downgrade() -> None:
    apply_sql("0004_catalog.down.sql")
