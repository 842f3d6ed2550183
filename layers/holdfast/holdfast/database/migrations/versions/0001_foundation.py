"""The foundation of every table: schemas, the tenant setting, the clock, time-ordered ids, monthly partitions."""

from holdfast.database.migrations.run import apply_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0001_foundation.up.sql")


def downgrade() -> None:
    apply_sql("0001_foundation.down.sql")
