"""Address reviews: addresses that somebody has to check by a deadline."""

from holdfast.database.migrations.run import apply_sql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0020_address_reviews.up.sql")


def downgrade() -> None:
    apply_sql("0020_address_reviews.down.sql")
