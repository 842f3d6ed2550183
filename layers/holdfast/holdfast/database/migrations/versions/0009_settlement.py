"""News about money is settled in two short steps around a pure decision: lock_order() reads, settle() writes."""

from holdfast.database.migrations.run import apply_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0009_settlement.up.sql")


def downgrade() -> None:
    apply_sql("0009_settlement.down.sql")
