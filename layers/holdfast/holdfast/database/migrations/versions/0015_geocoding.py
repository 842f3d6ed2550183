"""Where postal codes and addresses are: reference data, a geocoder's answers, and what could not be found."""

from holdfast.database.migrations.run import apply_sql

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0015_geocoding.up.sql")


def downgrade() -> None:
    apply_sql("0015_geocoding.down.sql")
