"""The checkout's two short steps: facts() reads everything a decision needs, place() writes everything it decided."""

from holdfast.database.migrations.run import apply_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0008_checkout.up.sql")


def downgrade() -> None:
    apply_sql("0008_checkout.down.sql")
