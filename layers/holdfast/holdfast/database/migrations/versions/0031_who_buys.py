"""The buyer is checked again when the order is written; an e-mail address is no longer unique to one customer."""

from holdfast.database.migrations.run import apply_sql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0031_who_buys.up.sql")


def downgrade() -> None:
    apply_sql("0031_who_buys.down.sql")
