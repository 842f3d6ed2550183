"""Dead letters: payment events that failed every attempt are kept, classified by rules, worked on, and replayed."""

from holdfast.database.migrations.run import apply_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0010_dead_letters.up.sql")


def downgrade() -> None:
    apply_sql("0010_dead_letters.down.sql")
