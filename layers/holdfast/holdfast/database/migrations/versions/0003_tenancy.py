"""Organizations (tenants), their staff, their customers, their accounts at payment gateways."""

from holdfast.database.migrations.run import apply_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0003_tenancy.up.sql")


def downgrade() -> None:
    apply_sql("0003_tenancy.down.sql")
