"""Query plans of three statements that every order runs are kept instead of planned anew each time."""

from holdfast.database.migrations.run import apply_sql

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    apply_sql("0027_kept_plans.up.sql")


def downgrade() -> None:
    apply_sql("0027_kept_plans.down.sql")
