"""A shipment that was called failed and arrives after all is delivered."""

from holdfast.database.migrations.run import apply_sql

revision = "0038"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0038_found_parcels.up.sql")


def downgrade() -> None:
    apply_sql("0038_found_parcels.down.sql")
