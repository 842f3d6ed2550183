"""What the roles may do at all, whatever the tenant: no more than they need."""

import pytest
from pg8000.native import Connection, identifier

from tests.database.acting import APP, INSUFFICIENT_PRIVILEGE, SCHEMAS, SYSTEM, acting, refusal, tables
from tests.database.conftest import TwoShops

ROLES = (APP, SYSTEM)
DEFINERS = {
    "tenancy.organization_of_publishable_key": "the way in of a guest, before the tenant is known",
    "tenancy.gateway_account_of_endpoint": "the way in of a webhook, before the tenant is known",
    "operations.make_partition": "creates tables, which no role of the application may",
    "operations.make_partitions": "the same for all tables",
    "operations.make_earlier_partitions": "the same for months of which rows have none",
    "operations.default_partition_rows": "counts over all tenants what it may not read",
    "operations.audit": "writes the audit log, which nobody may write by hand",
    "operations.note_process_failure": "writes the steps of a process failure, which nobody may write by hand",
    "archive.purge_batch": "deletes what nobody else may, when the batch is verified and its grace has passed",
    "archive.bring_back": "writes a proven document back, with the statuses its history leads to",
    "archive.drop_old_months": "drops months of the audit log past their retention, and of the history that are empty",
    "archive.erase_customer": "clears what roles may not write, the audit log above all",
    "archive.erase_rows": "the part of it that 0028 wrote, which nobody else may call",
    "archive.set_apart": "moves what earlier code wrote in the clear, in rows that are only appended to",
    "archive.drop_month": "drops a table whose every order lies in cold storage",
    "inventory.drop_month_of_movements": "drops a month of the ledger past its retention, and leaves opening balances",
    "orders.project_status": "writes orders.status, which nobody else may",
    "orders.project_price": "writes what an order costs, which nobody else may",
}
INLINED = {
    "tenancy.clock",
    "tenancy.uuid_v7",
    "tenancy.uuid_v7_floor",
    "checkout.is_abandoned",
    "archive.is_unsettled",
}
"""SQL functions that run with the caller's rights inside a query; a SET clause would prevent their inlining."""

APPEND_ONLY = {
    "operations.process_failure_history": set(),
    "orders.order_status_history": set(),
    "addresses.review_steps": set(),
    "orders.order_address_versions": set(),
    "orders.reallocations": set(),
    "inventory.stock_movements": set(),
    "operations.audit_log": set(),
    "archive.archived_orders": set(),
    "archive.batch_leaves": set(),
    "archive.erasures": set(),
    "archive.reconciliation_log": set(),
    "payments.payment_events": {"payment_id", "state", "attempts", "next_attempt_at", "last_error", "processed_at"},
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_owns_nothing_bypasses_nothing_and_belongs_to_nobody(shops: TwoShops, role: str) -> None:
    with acting(shops.superuser, role, "") as connection:
        [flags] = connection.run(
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
            " WHERE rolname = current_user"
        )
        assert flags == [False] * 5
        owned = connection.run("SELECT relname FROM pg_class WHERE relowner = to_regrole(current_user)")
        assert owned == []
        belongs = connection.run(
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = to_regrole(current_user)"
        )
        assert belongs == []
        creates = connection.run("SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')")
        assert creates == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE orders.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE orders.orders ADD COLUMN mine int",
        "ALTER TABLE orders.orders DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders.orders NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE orders.order_status_history DISABLE TRIGGER project_status",
        "DROP POLICY tenant ON orders.orders",
        "CREATE INDEX ON orders.orders (email)",
        "TRUNCATE orders.order_status_history",
        "TRUNCATE operations.outbox",
        "SET ROLE holdfast_owner",
        "SET SESSION AUTHORIZATION holdfast_owner",
        "SET session_replication_role = replica",
        "CALL tenancy.isolate('orders.orders')",
        "CALL tenancy.open_to_system('orders.orders', 'delete')",
        "SELECT operations.make_partition('orders.order_status_history', '2031-01-01')",
    ],
)
def test_a_role_cannot_alter_the_schema_or_its_own_rights(shops: TwoShops, role: str, statement: str) -> None:
    with acting(shops.superuser, role, shops.a.organization_id) as connection:
        found = refusal(connection, statement)
    assert found is not None
    assert found[0] == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize("role", ROLES)
def test_row_security_cannot_be_switched_off(shops: TwoShops, role: str) -> None:
    with acting(shops.superuser, role, shops.a.organization_id) as connection:
        connection.run("SET LOCAL row_security = off")
        found = refusal(connection, "SELECT count(*) FROM orders.orders")
    assert found is not None
    assert found[0] == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize("role", ROLES)
def test_partitions_cannot_be_reached_but_through_their_parent(shops: TwoShops, role: str) -> None:
    with acting(shops.superuser, role, shops.a.organization_id) as connection:
        partitions = connection.run("SELECT oid::regclass::text FROM pg_class WHERE relispartition AND relkind = 'r'")
        assert len(partitions) > 9
        for [partition] in partitions:
            for statement in (f"SELECT 1 FROM {partition}", f"DELETE FROM {partition}"):
                found = refusal(connection, statement)
                assert found is not None, statement
                assert found[0] == INSUFFICIENT_PRIVILEGE, statement


def functions(connection: Connection, where: str) -> set[str]:
    rows = connection.run(
        "SELECT DISTINCT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        f" WHERE n.nspname = ANY (:schemas) AND {where}",
        schemas=list(SCHEMAS),
    )
    return {row[0] for row in rows}


def test_the_functions_with_their_owners_rights_are_the_listed_few(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        assert functions(connection, "p.prosecdef") == set(DEFINERS)
        assert functions(connection, "p.prosecdef AND p.proowner <> to_regrole('holdfast_owner')") == set()


def test_every_other_function_fixes_its_search_path(shops: TwoShops) -> None:
    fixed = "'search_path=pg_catalog, pg_temp' = ANY (COALESCE(p.proconfig, '{}'))"
    with acting(shops.superuser) as connection:
        loose = functions(connection, f"p.prokind = 'f' AND NOT {fixed}")
        assert loose == INLINED
        assert (
            functions(connection, "p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'sql')") & INLINED == set()
        )


def test_no_function_is_callable_by_everybody(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        everybody = "(p.proacl IS NULL OR EXISTS (SELECT 1 FROM aclexplode(p.proacl) AS acl WHERE acl.grantee = 0))"
        assert functions(connection, everybody) == set()


def test_no_table_or_schema_is_open_to_everybody(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        open_tables = connection.run(
            "SELECT c.oid::regclass::text FROM pg_class c, aclexplode(c.relacl) AS acl"
            " WHERE c.relnamespace::regnamespace::text = ANY (:schemas) AND acl.grantee = 0",
            schemas=list(SCHEMAS),
        )
        open_schemas = connection.run(
            "SELECT nspname FROM pg_namespace, aclexplode(nspacl) AS acl"
            " WHERE nspname = ANY (:schemas) AND acl.grantee = 0",
            schemas=list(SCHEMAS),
        )
    assert open_tables == []
    assert open_schemas == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
def test_append_only_tables_take_no_update_but_of_their_processing_columns(
    shops: TwoShops, role: str, table: str
) -> None:
    with acting(shops.superuser, role, "") as connection:
        columns = connection.run(
            "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0"
            " AND has_column_privilege(attrelid, attnum, 'UPDATE')",
            t=table,
        )
        [[deletes]] = connection.run("SELECT has_table_privilege(CAST(:t AS regclass), 'DELETE, TRUNCATE')", t=table)
    assert {row[0] for row in columns} == APPEND_ONLY[table]
    assert deletes is False


@pytest.mark.parametrize("role", ROLES)
def test_the_audit_log_is_written_by_its_trigger_alone(shops: TwoShops, role: str) -> None:
    with acting(shops.superuser, role, shops.a.organization_id) as connection:
        [[inserts]] = connection.run("SELECT has_table_privilege('operations.audit_log', 'INSERT')")
        assert inserts is False


def test_a_change_by_the_application_reaches_the_audit_log(shops: TwoShops) -> None:
    with acting(shops.superuser, APP, shops.a.organization_id) as connection:
        connection.run("SELECT set_config('holdfast.actor', 'staff:grace', true)")
        connection.run("UPDATE catalog.variants SET price = 4321 WHERE id = :id", id=shops.a.variant_id)
        rows = connection.run(
            "SELECT actor, action, old_values, changed_values FROM operations.audit_log WHERE record_id = :id",
            id=shops.a.variant_id,
        )
    assert rows == [["staff:grace", "update", {"price": 1000}, {"price": 4321}]]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("column", ["status", "status_sequence", "status_changed_at", "organization_id", "id", "total"])
def test_orders_keep_their_status_and_their_sums_out_of_everybodys_reach(
    shops: TwoShops, role: str, column: str
) -> None:
    with acting(shops.superuser, role, shops.a.organization_id) as connection:
        statement = f"UPDATE orders.orders SET {identifier(column)} = {identifier(column)} WHERE id = :id"
        found = refusal(connection, statement, id=shops.a.order_id)
    assert found is not None
    assert found[0] == INSUFFICIENT_PRIVILEGE


def test_money_columns_of_a_payment_are_fixed_once_it_is_written(shops: TwoShops) -> None:
    for role in ROLES:
        with acting(shops.superuser, role, shops.a.organization_id) as connection:
            for column in ("amount", "currency", "order_id", "gateway_account_id", "idempotency_key"):
                statement = f"UPDATE payments.payments SET {column} = {column} WHERE id = :id"
                found = refusal(connection, statement, id=shops.a.payment_id)
                assert found is not None, column
                assert found[0] == INSUFFICIENT_PRIVILEGE, column


def test_every_table_is_readable_by_somebody(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        for table in tables(connection):
            [[readers]] = connection.run(
                "SELECT count(*) FROM unnest(CAST(:roles AS text[])) AS r"
                " WHERE has_table_privilege(r, CAST(:t AS regclass), 'SELECT')",
                roles=list(ROLES),
                t=table,
            )
            assert readers > 0, f"{table} is there for nobody"
