"""What orders, payments and gateways say about a day's money, and where they differ."""

from holdfast.database.migrations.run import apply_sql

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0012_money_report.up.sql")


def downgrade() -> None:
    apply_sql("0012_money_report.down.sql")
