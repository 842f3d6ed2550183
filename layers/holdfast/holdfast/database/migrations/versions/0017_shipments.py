"""Shipments: what leaves which warehouse, and how far it has come."""

from holdfast.database.migrations.run import apply_sql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0017_shipments.up.sql")


def downgrade() -> None:
    apply_sql("0017_shipments.down.sql")
