"""Migrating up to the newest schema and back down, with data in the tables."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from holdfast.database.migrations.run import downgrade, upgrade
from local.postgres import Address, Server
from local.testing import database
from tests.database.acting import APP, SCHEMAS, SYSTEM, as_role, connected, refusal
from tests.database.large_shop import seed
from tests.premises import ROLE_PASSWORD, make_partitions_around_now

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "holdfast.database.migrations"


def script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(files(PACKAGE)))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


REVISIONS = [revision.revision for revision in reversed(list(script().walk_revisions()))]


@pytest.fixture
def empty(postgres: Server) -> Iterator[Address]:
    with database(postgres) as owner:
        yield owner


PLENTIFUL = (
    "inventory.transfers",
    "inventory.stock_imports",
    "inventory.capacity_alerts",
    "archive.reconciliation_log",
    "payments.group_replays",
)
LISTS = {"operations.partitioned_tables", "archive.parts", "fulfillment.shipment_transitions"}
"""Tables whose rows are the schema's own: they list tables, columns and steps, and come and go with what they list."""


def content(db: Address) -> dict[str, str]:
    """Return a hash of the rows of every table. Columns that are NULL in a row are left out, so one may be added."""
    with connected(db) as connection:
        tables = connection.run(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            schemas=list(SCHEMAS),
        )
        return {
            table: str(
                connection.run(
                    "SELECT md5(string_agg(md5(r.row::text), '' ORDER BY md5(r.row::text)))"
                    f" FROM (SELECT jsonb_strip_nulls(to_jsonb(t)) FROM {table} AS t) AS r (row)"
                )[0][0]
            )
            for [table] in tables
            if table not in LISTS
        }


def shape(db: Address) -> set[str]:
    """Return everything that the catalog knows about our schemas, as text."""
    with connected(db) as connection:
        rows = connection.run(
            """
            SELECT 'column ' || attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod)
                   || ' ' || attnotnull || ' ' || COALESCE(attacl::text, '')
              FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
             WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p')
               AND relnamespace::regnamespace::text = ANY (:schemas)
            UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
              FROM pg_constraint WHERE connamespace::regnamespace::text = ANY (:schemas) AND conrelid <> 0
            UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = ANY (:schemas)
            UNION ALL SELECT 'policy ' || p::text FROM pg_policies p WHERE schemaname = ANY (:schemas)
            UNION ALL SELECT 'function ' || oid::regprocedure || ' ' || md5(prosrc) || ' ' || proacl::text
              FROM pg_proc WHERE pronamespace::regnamespace::text = ANY (:schemas)
            UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t
              JOIN pg_class c ON c.oid = tgrelid
             WHERE NOT tgisinternal AND relnamespace::regnamespace::text = ANY (:schemas)
            UNION ALL SELECT 'schema ' || nspname || ' ' || nspacl::text FROM pg_namespace
             WHERE nspname = ANY (:schemas)
            """,
            schemas=list(SCHEMAS),
        )
    return {str(row[0]) for row in rows}


def test_upgrading_twice_changes_nothing(empty: Address) -> None:
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    once = shape(empty)
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    assert shape(empty) == once


def _keep_a_few(superuser: Address) -> None:
    """Of tables that have thousands of rows for the sake of plans; every row is read after every step here."""
    with connected(superuser) as connection:
        connection.run("SET session_replication_role = replica")
        for table in PLENTIFUL:
            connection.run(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM {table} ORDER BY id LIMIT 100)")


def test_every_revision_goes_down_and_up_again_and_leaves_earlier_data_alone(postgres: Server, empty: Address) -> None:
    superuser = replace(postgres.admin, database=empty.database)
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    make_partitions_around_now(empty)
    seed(superuser, orders=200, variants=40, customers=40)
    _keep_a_few(superuser)
    whole, data = shape(superuser), content(superuser)
    for revision in reversed(REVISIONS[1:]):
        before = content(superuser)
        earlier = REVISIONS[REVISIONS.index(revision) - 1]
        downgrade(empty.url, earlier)
        kept = content(superuser)
        assert kept.items() <= before.items(), f"{revision} down changed rows that were there before it"
        below = shape(superuser)
        upgrade(empty.url, revision=revision)
        assert content(superuser).keys() == before.keys()
        downgrade(empty.url, earlier)
        assert shape(superuser) == below, f"{revision} leaves something behind"
        assert content(superuser) == kept
    upgrade(empty.url)
    make_partitions_around_now(empty)
    assert shape(superuser) == whole
    assert content(superuser).keys() == data.keys()


def test_the_way_back_ends_at_an_empty_database(empty: Address) -> None:
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    downgrade(empty.url, "base")
    assert shape(empty) == set()
    with connected(empty) as connection:
        left = connection.run(
            "SELECT relname FROM pg_class WHERE relowner = 'holdfast_owner'::regrole AND relkind = 'r'"
        )
    assert left == [["schema_version"]]
    upgrade(empty.url)
    assert shape(empty)


def test_every_revision_runs_under_timeouts_and_as_the_owner(empty: Address) -> None:
    """Each revision is a transaction of its own, so a setting local to the first would be gone in the second."""
    seen: list[list[str]] = []

    def look(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("--") and not connection.info.get("looking"):
            connection.info["looking"] = True
            rows = connection.exec_driver_sql(
                "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), current_user"
            )
            seen.append(list(rows.one()))
            connection.info["looking"] = False

    event.listen(Engine, "before_cursor_execute", look)
    try:
        upgrade(empty.url, role_password=ROLE_PASSWORD)
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    files_of_statements = [e for e in files(PACKAGE).joinpath("sql").iterdir() if e.name.endswith(".up.sql")]
    assert len(files_of_statements) >= len(REVISIONS)
    assert seen == [["5s", "10min", "holdfast_owner"]] * len(files_of_statements)


def test_a_migration_gives_up_instead_of_queueing_before_checkouts(empty: Address) -> None:
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    with connected(empty) as holder:
        holder.run("BEGIN")
        holder.run("SELECT count(*) FROM payments.payment_events")
        with pytest.raises(Exception, match="lock timeout"):
            downgrade(empty.url, "0006")
        holder.run("ROLLBACK")
    upgrade(empty.url)
    with connected(empty) as connection:
        assert connection.run("SELECT version_num FROM public.schema_version") == [[REVISIONS[-1]]]


def test_revisions_form_one_line_and_every_file_is_used() -> None:
    assert len(script().get_heads()) == 1
    assert sorted(REVISIONS) == REVISIONS, "a revision's number is its place in the line; numbers may be left out"
    folder = files(PACKAGE) / "sql"
    names = {entry.name for entry in folder.iterdir() if entry.name.endswith(".sql")}
    versions = Path(str(files(PACKAGE) / "versions"))
    used = set(re.findall(r'apply_sql\("([^"]+)"\)', "".join(p.read_text() for p in versions.glob("*.py"))))
    assert used == names


def test_nobody_but_the_roles_may_come_in(empty: Address) -> None:
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    with connected(empty) as connection:
        granted = connection.run(
            "SELECT acl.grantee::regrole::text, acl.privilege_type FROM pg_database, aclexplode(datacl) AS acl"
            " WHERE datname = current_database() AND acl.grantee <> datdba"
        )
    rights = {(grantee, privilege) for grantee, privilege in granted}
    owner = {("holdfast_owner", privilege) for privilege in ("CONNECT", "CREATE", "TEMPORARY")}
    assert rights == owner | {(APP, "CONNECT"), (SYSTEM, "CONNECT")}


@pytest.mark.parametrize("role", [APP, SYSTEM])
def test_a_role_is_bounded_in_time_and_makes_no_temporary_tables(empty: Address, role: str) -> None:
    upgrade(empty.url, role_password=ROLE_PASSWORD)
    with connected(as_role(empty, role)) as connection:
        bounds = [
            connection.run(f"SHOW {name}")[0][0]
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
        assert "0" not in bounds
        connection.run("BEGIN")
        found = refusal(connection, "CREATE TEMPORARY TABLE mine (id int)")
    assert found is not None
    assert found[0] == "42501"


def test_a_password_that_could_carry_sql_is_refused(empty: Address) -> None:
    with pytest.raises(ValueError, match="role passwords"):
        upgrade(empty.url, role_password="x' SUPERUSER --")


def test_squawk_finds_nothing_but_what_is_explained() -> None:
    configuration = ROOT / ".squawk.toml"
    excluded = tomllib.loads(configuration.read_text())["excluded_rules"]
    for rule in excluded:
        explained = re.search(rf'((?:^\s*#.*\n)+)\s*"{rule}"', configuration.read_text(), re.MULTILINE)
        assert explained, f"{rule} is excluded without a reason"
    paths = sorted(str(path) for path in Path(str(files(PACKAGE) / "sql")).glob("*.up.sql"))
    squawk = Path(sys.executable).with_name("squawk")
    answer = subprocess.run(
        [str(squawk), "--config", str(configuration), "--reporter", "gcc", *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
