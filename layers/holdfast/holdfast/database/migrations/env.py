"""Alembic's entry: every revision in a transaction of its own, as the owner role, under lock and statement timeouts.

A migration that cannot get its lock in 5 seconds gives up and can be run again; it never queues in front of checkouts.
"""

from alembic import context
from sqlalchemy import Connection, text

LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 600


def run() -> None:
    """Runs on the connection that ``holdfast.database.migrations.run`` hands over."""
    connection: Connection = context.config.attributes["connection"]
    # For the session, and committed: SET LOCAL would end with the first revision, each being a transaction of its own.
    connection.execute(text("SET ROLE holdfast_owner"))
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"))
    connection.commit()
    context.configure(
        connection=connection,
        version_table="schema_version",
        version_table_schema="public",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
