"""Bring a database to the newest schema: create the roles, then run the revisions that are missing."""

import re
from collections.abc import Callable
from importlib.resources import files
from ssl import SSLContext
from typing import Final

from alembic import command, op
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, make_url, text

_PACKAGE: Final = "holdfast.database.migrations"
_ROLES: Final[dict[str, dict[str, str]]] = {
    "holdfast_owner": {},
    # Timeouts for every statement of the application. A transaction may set tighter ones.
    "holdfast_app": {"statement_timeout": "15s", "lock_timeout": "8s", "idle_in_transaction_session_timeout": "15s"},
    "holdfast_system": {"statement_timeout": "60s", "lock_timeout": "8s", "idle_in_transaction_session_timeout": "60s"},
}


def apply_sql(name: str) -> None:
    """Run one SQL file of this package inside the revision that names it."""
    op.get_bind().exec_driver_sql((files(_PACKAGE) / "sql" / name).read_text())


def upgrade(
    admin_url: str | URL,
    *,
    role_password: str | None = None,
    iam: bool = False,
    revision: str = "head",
    ssl_context: SSLContext | None = None,
) -> None:
    """Bring roles and schema up to date. Safe to run twice.

    ``admin_url`` names a role that may create roles (the cluster's master user). If the three roles log in by password,
    it is ``role_password``. With ``iam`` they are granted ``rds_iam`` instead, the owner too, because shops are opened
    as that role.
    """
    _migrate(admin_url, role_password, iam, ssl_context, lambda config: command.upgrade(config, revision))


def downgrade(admin_url: str | URL, revision: str) -> None:
    """Revert revisions. This is for tests and rehearsals: in production, migrations only go forward."""
    _migrate(admin_url, None, False, None, lambda config: command.downgrade(config, revision))


def _migrate(
    admin_url: str | URL,
    role_password: str | None,
    iam: bool,
    ssl_context: SSLContext | None,
    action: Callable[[Config], None],
) -> None:
    arguments = {} if ssl_context is None else {"ssl_context": ssl_context}
    engine = create_engine(_pg8000(admin_url), connect_args=arguments)
    try:
        with engine.connect() as connection:
            _ensure_roles(connection, role_password, iam)
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(files(_PACKAGE)))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            action(config)
            connection.commit()
    finally:
        engine.dispose()


def _ensure_roles(connection: Connection, password: str | None, iam: bool) -> None:
    database = connection.execute(text("SELECT quote_ident(current_database())")).scalar_one()
    known = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'holdfast_%'")).scalars())
    for role, settings in _ROLES.items():
        if role not in known:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS")
        if password is not None:
            if not re.fullmatch(r"[A-Za-z0-9_-]{8,128}", password):
                raise ValueError("role passwords are 8 to 128 letters, digits, - and _")
            connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD '{password}'")
        if iam:
            connection.exec_driver_sql(f"GRANT rds_iam TO {role}")
        for name, value in settings.items():
            connection.exec_driver_sql(f"ALTER ROLE {role} SET {name} = '{value}'")
    connection.exec_driver_sql("GRANT holdfast_owner TO CURRENT_USER")
    connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE {database} TO holdfast_app, holdfast_system")
    connection.exec_driver_sql(f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO holdfast_owner")
    connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    connection.exec_driver_sql("GRANT USAGE, CREATE ON SCHEMA public TO holdfast_owner")


def _pg8000(url: str | URL) -> URL:
    return make_url(url).set(drivername="postgresql+pg8000")
