"""Instants before 1970, news of purged payments, what comes after an erasure, months that had been dropped."""

from holdfast.database.migrations.run import apply_sql

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0039_years_apart.up.sql")


def downgrade() -> None:
    apply_sql("0039_years_apart.down.sql")
