"""Alembic's entry point. Each revision runs in its own transaction, as the owner role, with lock and query timeouts.

A migration that cannot get a lock within 5 seconds gives up and can be run again. It never makes checkouts queue behind
it for longer.
"""

from alembic import context
from sqlalchemy import Connection, text

LOCK_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 600


def run() -> None:
    """Run the revisions on the connection that ``holdfast.database.migrations.run`` passes."""
    connection: Connection = context.config.attributes["connection"]
    # Set for the session and committed: SET LOCAL would end with the first revision, because each is a transaction.
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
