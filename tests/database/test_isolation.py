"""Tenant B reads, writes and counts nothing of tenant A: every table in the catalog, for every role."""

import json
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection, identifier

from tests.database.acting import (
    APP,
    FOREIGN_KEY_VIOLATION,
    INSUFFICIENT_PRIVILEGE,
    SCHEMAS,
    SYSTEM,
    acting,
    refusal,
    tables,
)
from tests.database.conftest import TwoShops

ROLES = (APP, SYSTEM)
WITHOUT_TENANT = {
    "addresses.geocode_reference": "where postal codes are, the same for all; written by imports alone",
    "addresses.geocode_import_staging": "rows of an import under way",
    "fulfillment.shipment_transitions": "the rules of a shipment's lifecycle, the same for all",
    "operations.partitioned_tables": "which tables have partitions",
    "archive.parts": "which tables an order consists of",
    "orders.status_transitions": "the rules of the lifecycle, the same for all",
}
TENANT_COLUMN = {"tenancy.organizations": "id"}
BY_MEMBERSHIP = {"tenancy.users"}
"""Tables whose rows show through a membership: a user may belong to several organizations."""

SYSTEM_OVER_ALL = {
    "tenancy.organizations": "select",
    "tenancy.payment_methods": "select",
    "fulfillment.shipments": "select",
    "inventory.reservations": "select",
    "inventory.warehouse_daily_load": "select",
    "inventory.capacity_overrides": "select delete",
    "orders.orders": "select",
    "orders.order_operations": "select",
    "orders.idempotency_keys": "select delete",
    "payments.payments": "select",
    "payments.payment_events": "select",
    "payments.refunds": "select",
    "payments.dead_letters": "select",
    "payments.group_replays": "select",
    "addresses.geocode_cache": "select delete",
    "notifications.messages": "select delete",
    "addresses.reviews": "select",
    "operations.outbox": "select update delete",
    "operations.api_calls": "select delete",
}
"""What the system's jobs may do across all tenants, and only while they have not set one."""


def tenant_tables(connection: Connection) -> list[str]:
    return [t for t in tables(connection) if t not in WITHOUT_TENANT and t not in BY_MEMBERSHIP]


def tenant_column(table: str) -> str:
    return TENANT_COLUMN.get(table, "organization_id")


def is_open(role: str, setting: str | None, table: str, command: str) -> bool:
    return role == SYSTEM and not setting and command in SYSTEM_OVER_ALL.get(table, "")


@pytest.fixture(params=["the other tenant", "no setting", "an empty setting"])
def wrong_setting(request: pytest.FixtureRequest, shops: TwoShops) -> str | None:
    return {"the other tenant": str(shops.b.organization_id), "no setting": None, "an empty setting": ""}[request.param]


def attempt(connection: Connection, statement: str, **parameters: Any) -> int | str:
    """Return the number of rows of a statement, or the SQLSTATE that it failed with."""
    connection.run("SAVEPOINT attempt")
    try:
        connection.run(statement, **parameters)
    except DatabaseError as error:
        connection.run("ROLLBACK TO SAVEPOINT attempt")
        return str(error.args[0]["C"])
    return int(connection.row_count)


def test_both_shops_have_rows_in_every_table_so_that_the_rest_proves_something(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        for table in tenant_tables(connection):
            column = tenant_column(table)
            [[count]] = connection.run(f"SELECT count(DISTINCT {column}) FROM {table}")
            assert count == 2, f"{table} has rows of {count} shops"


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_another_tenant_is_read_or_counted(shops: TwoShops, role: str, wrong_setting: str | None) -> None:
    with acting(shops.superuser, role, wrong_setting) as connection:
        for table in tenant_tables(connection):
            column, a = tenant_column(table), shops.a.organization_id
            seen = attempt(connection, f"SELECT 1 FROM {table} WHERE {column} = :a", a=a)
            if is_open(role, wrong_setting, table, "select"):
                assert isinstance(seen, int)
                assert seen > 0, table
                continue
            assert seen in (0, INSUFFICIENT_PRIVILEGE), f"{role} reads {seen} rows of {table}"
            own = attempt(connection, f"SELECT 1 FROM {table} WHERE {column} <> :a", a=a)
            everything = attempt(connection, f"SELECT 1 FROM {table}")
            assert everything == own, f"{role} counts rows of others in {table}"
            if not wrong_setting:
                assert everything in (0, INSUFFICIENT_PRIVILEGE), f"{role} without a tenant sees {table}"


def test_users_are_seen_through_a_membership_alone(shops: TwoShops, wrong_setting: str | None) -> None:
    with acting(shops.superuser, APP, wrong_setting) as connection:
        subjects = [row[0] for row in connection.run("SELECT auth_subject FROM tenancy.users")]
        assert all(subject.startswith("b-") for subject in subjects)
        assert bool(subjects) == bool(wrong_setting)


@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_another_tenant_is_changed_or_deleted(shops: TwoShops, role: str, wrong_setting: str | None) -> None:
    with acting(shops.superuser, role, wrong_setting) as connection:
        for table in tenant_tables(connection):
            where = f"WHERE {tenant_column(table)} = :a"
            columns = connection.run(
                "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0"
                " AND has_column_privilege(attrelid, attnum, 'UPDATE') ORDER BY attnum",
                t=table,
            )
            column = identifier(columns[0][0] if columns else tenant_column(table))
            for command, statement in (
                ("update", f"UPDATE {table} SET {column} = {column} {where}"),
                ("delete", f"DELETE FROM {table} {where}"),
            ):
                if is_open(role, wrong_setting, table, command):
                    continue
                done = attempt(connection, statement, a=shops.a.organization_id)
                assert done in (0, INSUFFICIENT_PRIVILEGE), f"{role}: {command} of {done} rows of {table}"


def written_columns(connection: Connection, table: str) -> list[str]:
    """Return all columns but the generated ones."""
    rows = connection.run(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        t=table,
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("role", ROLES)
def test_a_row_of_another_tenant_is_not_inserted(shops: TwoShops, role: str, wrong_setting: str | None) -> None:
    with acting(shops.superuser) as connection:
        rows = {
            table: connection.run(
                f"SELECT to_jsonb(t) FROM {table} AS t WHERE {tenant_column(table)} = :a LIMIT 1",
                a=shops.a.organization_id,
            )[0][0]
            for table in tenant_tables(connection)
        }
        columns = {table: ", ".join(written_columns(connection, table)) for table in rows}
    with acting(shops.superuser, role, wrong_setting) as connection:
        for table, row in rows.items():
            done = refusal(
                connection,
                f"INSERT INTO {table} ({columns[table]}) SELECT {columns[table]}"
                f" FROM jsonb_populate_record(NULL::{table}, CAST(:row AS jsonb))",
                row=json.dumps(row),
            )
            assert done is not None, table
            assert done[0] == INSUFFICIENT_PRIVILEGE, f"{role} inserting into {table}: {done}"


@pytest.mark.parametrize("role", ROLES)
def test_no_row_changes_hands(shops: TwoShops, role: str) -> None:
    with acting(shops.superuser, role, shops.b.organization_id) as connection:
        for table in tenant_tables(connection):
            statement = f"UPDATE {table} SET {tenant_column(table)} = :a"
            done = attempt(connection, statement, a=shops.a.organization_id)
            assert done == INSUFFICIENT_PRIVILEGE, f"{role} gave {done} rows of {table} away"


FOREIGN_KEYS = """
    SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
           ARRAY(SELECT a.attname FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, i)
                   JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum ORDER BY i),
           ARRAY(SELECT a.attname FROM unnest(c.confkey) WITH ORDINALITY AS k (attnum, i)
                   JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum ORDER BY i)
      FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
     WHERE c.contype = 'f' AND c.connamespace::regnamespace::text = ANY (:schemas) AND NOT t.relispartition ORDER BY 1
"""


def test_foreign_keys_between_tenant_tables_carry_the_organization(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        keys = connection.run(FOREIGN_KEYS, schemas=list(SCHEMAS))
    assert keys
    for name, _, parent, columns, referenced in keys:
        if parent in BY_MEMBERSHIP:
            continue
        pairs = dict(zip(columns, referenced, strict=True))
        assert pairs.get("organization_id") == tenant_column(parent), f"{name}: {pairs}"


def test_no_foreign_key_reaches_into_another_tenant(shops: TwoShops) -> None:
    """This holds even for a superuser, since foreign-key checks bypass row-level security."""
    with acting(shops.superuser) as connection:
        connection.run("SET CONSTRAINTS ALL IMMEDIATE")
        tried = 0
        for name, child, parent, columns, referenced in connection.run(FOREIGN_KEYS, schemas=list(SCHEMAS)):
            pairs = [(c, r) for c, r in zip(columns, referenced, strict=True) if c != "organization_id"]
            if not pairs or parent in BY_MEMBERSHIP:
                continue
            changes = ", ".join(f"{c} = theirs.{r}" for c, r in pairs)
            found = refusal(
                connection,
                f"UPDATE {child} AS ours SET {changes} FROM (SELECT * FROM {parent} WHERE organization_id = :a LIMIT 1)"
                f" AS theirs WHERE ours.ctid = (SELECT ctid FROM {child} WHERE organization_id = :b LIMIT 1)",
                a=shops.a.organization_id,
                b=shops.b.organization_id,
            )
            assert found is not None, f"{child} refers to {parent} of another tenant ({name})"
            assert found[0] == FOREIGN_KEY_VIOLATION, f"{name}: {found}"
            tried += 1
    assert tried > 15


def test_row_level_security_is_enabled_and_forced_on_every_table_and_partition(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        lax = connection.run(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace::regnamespace::text = ANY (:schemas)"
            " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
            schemas=list(SCHEMAS),
        )
        views = connection.run(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('v', 'm')"
            " AND relnamespace::regnamespace::text = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in lax} == set(WITHOUT_TENANT)
    assert views == [], "a view runs with its owner's rights unless it says security_invoker"


def test_policies_open_to_the_system_what_is_listed_and_nothing_else(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        policies = connection.run(
            "SELECT schemaname || '.' || tablename, policyname, roles, cmd, permissive FROM pg_policies"
            " WHERE schemaname = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    opened: dict[str, set[str]] = {}
    for table, name, roles, command, _ in policies:
        if name.startswith("system_"):
            assert roles == [SYSTEM], table
            opened.setdefault(table, set()).add(command.lower())
    assert opened == {table: set(commands.split()) for table, commands in SYSTEM_OVER_ALL.items()}
    others = {(name, permissive) for _, name, _, _, permissive in policies if not name.startswith("system_")}
    assert others == {
        ("tenant", "PERMISSIVE"),
        ("owner", "PERMISSIVE"),
        ("begins_at_the_beginning", "RESTRICTIVE"),
    }


DEFINERS_OF_ALL = {
    "operations.make_partition": "partitions are of all tenants",
    "operations.make_partitions": "partitions are of all tenants",
    "operations.make_earlier_partitions": "partitions are of all tenants",
    "operations.default_partition_rows": "a count of rows that no partition has, of all tenants",
    "operations.note_process_failure": "a trigger: it writes beside the row that fired it",
    "operations.audit": "a trigger: it writes beside the row that fired it",
    "orders.project_status": "a trigger: it writes the order of the row that fired it",
    "orders.project_price": "a trigger: it writes the order of the row that fired it",
    "tenancy.organization_of_publishable_key": "the way in before a tenant is known",
    "tenancy.gateway_account_of_endpoint": "the way in before a tenant is known",
    "archive.drop_month": "months are of all tenants",
    "archive.drop_old_months": "months are of all tenants",
    "inventory.drop_month_of_movements": "months are of all tenants",
}
"""SECURITY DEFINER functions that take no tenant."""


@pytest.mark.parametrize("role", ROLES)
def test_a_function_with_its_owners_rights_serves_the_tenant_that_is_set_and_no_other(
    shops: TwoShops, role: str, wrong_setting: str | None
) -> None:
    """Row-level security does not bind the owner, so the function checks the tenant itself, before anything else."""
    with acting(shops.superuser) as connection:
        definers = connection.run(
            "SELECT p.oid::regproc::text, COALESCE(p.proargnames, '{}'),"
            " ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t)"
            "  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE p.prosecdef AND n.nspname = ANY (:schemas) ORDER BY 1",
            schemas=list(SCHEMAS),
        )
    assert {name for name, names, *_ in definers if "p_organization_id" not in names} == set(DEFINERS_OF_ALL)
    with acting(shops.superuser, role, wrong_setting) as connection:
        for name, names, types in definers:
            if name in DEFINERS_OF_ALL:
                continue
            arguments = [
                "CAST(:a AS uuid)" if names[i] == "p_organization_id" else f"CAST(NULL AS {type_})"
                for i, type_ in enumerate(types)
            ]
            found = refusal(connection, f"SELECT {name}({', '.join(arguments)})", a=shops.a.organization_id)
            assert found is not None, f"{role} called {name} for another tenant"
            assert found[0] == INSUFFICIENT_PRIVILEGE, f"{name}: {found}"
