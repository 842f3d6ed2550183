"""Reallocations, which decide anew where an order ships from, and the addresses that an order had before."""

from holdfast.database.migrations.run import apply_sql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0018_reallocations.up.sql")


def downgrade() -> None:
    apply_sql("0018_reallocations.down.sql")
