"""An order that is over leaves nothing behind: unshipped pieces return to stock, lost and refunded parcels are done."""

from holdfast.database.migrations.run import apply_sql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0030_whole_endings.up.sql")


def downgrade() -> None:
    apply_sql("0030_whole_endings.down.sql")
