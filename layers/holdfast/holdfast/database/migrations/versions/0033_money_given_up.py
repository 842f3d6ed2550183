"""Money whose return was given up too early is returned; a refund that is never decided is a money difference."""

from holdfast.database.migrations.run import apply_sql

revision = "0033"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0033_money_given_up.up.sql")


def downgrade() -> None:
    apply_sql("0033_money_given_up.down.sql")
