"""Orders: what was bought, where it ships from, the holds on its stock, and every status it ever had."""

from holdfast.database.migrations.run import apply_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0006_orders.up.sql")


def downgrade() -> None:
    apply_sql("0006_orders.down.sql")
