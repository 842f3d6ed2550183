"""Less work for every order: its mail, its first shipments, and events that say nothing new."""

from holdfast.database.migrations.run import apply_sql

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0024_shorter_ways.up.sql")


def downgrade() -> None:
    apply_sql("0024_shorter_ways.down.sql")
