"""Erasure covers kept payment methods, shoppers' own words, and their names wherever they acted."""

from holdfast.database.migrations.run import apply_sql

revision = "0035"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0035_shoppers_words.up.sql")
    apply_sql("0035_erased_traces.up.sql")


def downgrade() -> None:
    apply_sql("0035_erased_traces.down.sql")
    apply_sql("0035_shoppers_words.down.sql")
