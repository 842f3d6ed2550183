"""Monthly partitions are created ahead of time; a forgotten month fails nothing and can be created later."""

import threading
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from local.postgres import Address
from tests.database.acting import APP, INSUFFICIENT_PRIVILEGE, SYSTEM, acting, as_role, connected, refusal

ORGANIZATION = UUID("01900000-0000-7000-8000-00000000000a")
FAR = datetime(2041, 5, 17, tzinfo=UTC)
"""An instant in a month that has no partition."""
TABLES = ("archive.archived_orders", "inventory.stock_movements", "operations.audit_log", "orders.order_status_history")

MOVEMENT = """
    INSERT INTO inventory.stock_movements (organization_id, id, warehouse_id, variant_id, level_version, type, quantity,
        on_hand_before, on_hand_after, reserved_before, reserved_after, reference_type, reason, performed_by,
        created_at)
    SELECT :o, tenancy.uuid_v7(CAST(:at AS timestamptz)), gen_random_uuid(), gen_random_uuid(), 1, 'receive', 1, 0, 1,
           0, 0, 'test', :reason, 'test', :at
"""


INHERITED = (
    "SELECT indkey::text, indisunique, indisprimary FROM pg_index WHERE indrelid = CAST(:t AS regclass)",
    """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = CAST(:t AS regclass)
    """,
    "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:t AS regclass)",
    """
    SELECT attname, atttypid, attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE attnum > 0 AND attrelid = CAST(:t AS regclass)
    """,
)
"""Queries for what a partition has in common with its parent."""


def make(connection: Connection, start: date, months: int) -> int:
    [[made]] = connection.run("SELECT operations.make_partitions(:start, :months)", start=start, months=months)
    return int(made)


def begin(connection: Connection) -> None:
    connection.run("BEGIN")
    connection.run("SELECT set_config('holdfast.organization_id', :o, true)", o=str(ORGANIZATION))


def partitions(connection: Connection, table: str) -> dict[str, str]:
    rows = connection.run(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = CAST(:t AS regclass)",
        t=table,
    )
    return dict(rows)


def write_movements(db: Address, at: datetime, *reasons: str) -> None:
    with connected(as_role(db, APP)) as connection:
        begin(connection)
        for reason in reasons:
            connection.run(MOVEMENT, o=ORGANIZATION, at=at, reason=reason)
        connection.run("COMMIT")


def test_the_partitioned_tables_are_these_and_each_has_a_default(superuser: Address) -> None:
    with connected(superuser) as connection:
        listed = {row[0] for row in connection.run("SELECT table_name::text FROM operations.partitioned_tables")}
        found = {row[0] for row in connection.run("SELECT partrelid::regclass::text FROM pg_partitioned_table")}
        assert listed == found == set(TABLES)
        for table in TABLES:
            assert partitions(connection, table)[f"{table.split('.')[1]}_default"] == "DEFAULT"


def test_months_are_made_ahead_and_a_second_run_makes_none(superuser: Address) -> None:
    with connected(as_role(superuser, SYSTEM)) as connection:
        assert make(connection, date(2041, 1, 31), 2) == 3 * len(TABLES)
        assert make(connection, date(2041, 1, 1), 2) == 0
        assert make(connection, date(2041, 2, 28), 2) == len(TABLES)
    with connected(superuser) as connection:
        for table in TABLES:
            names = set(partitions(connection, table))
            short = table.split(".")[1]
            assert {f"{short}_2041_0{month}" for month in (1, 2, 3, 4)} <= names


def test_a_month_ends_where_the_next_begins(superuser: Address) -> None:
    with connected(as_role(superuser, SYSTEM)) as connection:
        make(connection, date(2041, 11, 1), 2)
    with connected(superuser) as connection:
        bounds = partitions(connection, "operations.audit_log")
    words = [bounds[f"audit_log_{month}"].split("'") for month in ("2041_11", "2041_12", "2042_01")]
    assert words[0][3] == words[1][1]
    assert words[1][3] == words[2][1]


def test_the_last_instant_of_a_month_is_in_that_month(superuser: Address) -> None:
    at = datetime(2041, 5, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    with connected(as_role(superuser, SYSTEM)) as connection:
        make(connection, date(2041, 5, 1), 1)
    write_movements(superuser, at, "on the edge")
    with connected(superuser) as connection:
        [[where]] = connection.run(
            "SELECT tableoid::regclass::text FROM inventory.stock_movements WHERE reason = 'on the edge'"
        )
    assert where == "inventory.stock_movements_2041_05"


def test_a_missing_month_fails_no_insert_and_raises_the_count_for_the_alarm(superuser: Address) -> None:
    write_movements(superuser, FAR, "stray")
    with connected(as_role(superuser, SYSTEM)) as connection:
        assert connection.run("SELECT operations.default_partition_rows()") == [[1]]


def test_the_maker_moves_the_strays_of_its_month_whole_and_leaves_the_others(superuser: Address) -> None:
    write_movements(superuser, FAR, "one", "two")
    write_movements(superuser, datetime(2041, 6, 1, tzinfo=UTC), "of another month")
    query = "SELECT to_jsonb(m), m.tableoid::regclass::text FROM inventory.stock_movements m ORDER BY m.reason"
    with connected(superuser) as connection:
        before = connection.run(query)
    with connected(as_role(superuser, SYSTEM)) as connection:
        assert make(connection, date(2041, 5, 1), 0) == len(TABLES)
        assert connection.run("SELECT operations.default_partition_rows()") == [[1]]
    with connected(superuser) as connection:
        after = connection.run(query)
    assert [row for row, _ in after] == [row for row, _ in before]
    assert [where for _, where in before] == ["inventory.stock_movements_default"] * 3
    assert sorted({where for _, where in after}) == [
        "inventory.stock_movements_2041_05",
        "inventory.stock_movements_default",
    ]


def test_a_new_month_has_the_policies_the_indexes_and_the_checks_of_its_parent(superuser: Address) -> None:
    write_movements(superuser, FAR, "stray")
    with connected(as_role(superuser, SYSTEM)) as connection:
        make(connection, FAR.date(), 0)
    with connected(superuser) as connection:
        for table in TABLES:
            month = f"{table}_2041_05"
            [flags] = connection.run(
                "SELECT relrowsecurity, relforcerowsecurity, relowner::regrole::text FROM pg_class"
                " WHERE oid = CAST(:t AS regclass)",
                t=month,
            )
            assert flags == [True, True, "holdfast_owner"]
            for catalog in INHERITED:
                of_parent, of_month = (sorted(map(str, connection.run(catalog, t=t))) for t in (table, month))
                assert of_month == of_parent, catalog
    with acting(superuser, APP, ORGANIZATION) as connection:
        found = refusal(connection, "SELECT 1 FROM inventory.stock_movements_2041_05")
        assert found is not None
        assert found[0] == INSUFFICIENT_PRIVILEGE
        assert connection.run("SELECT reason FROM inventory.stock_movements") == [["stray"]]


def test_reading_and_writing_go_on_while_a_month_is_made(superuser: Address) -> None:
    """Until it commits, the transaction that makes a partition holds no lock that stops users of other months."""
    now = datetime.now(UTC)
    with connected(as_role(superuser, SYSTEM)) as maker, connected(as_role(superuser, APP)) as shopper:
        maker.run("BEGIN")
        make(maker, FAR.date(), 0)
        begin(shopper)
        shopper.run("SET LOCAL lock_timeout = '500ms'")
        shopper.run(MOVEMENT, o=ORGANIZATION, at=now, reason="meanwhile")
        shopper.run("COMMIT")
        maker.run("COMMIT")
        assert shopper.run("SELECT 1") == [[1]]


def test_the_maker_gives_up_soon_when_somebody_holds_the_default_partition(superuser: Address) -> None:
    """Otherwise everybody else would queue behind it."""
    outcome: list[str] = []
    with connected(as_role(superuser, SYSTEM)) as maker, connected(as_role(superuser, APP)) as shopper:
        begin(shopper)
        shopper.run(MOVEMENT, o=ORGANIZATION, at=FAR, reason="held")

        def work() -> None:
            try:
                make(maker, FAR.date(), 0)
            except DatabaseError as error:
                outcome.append(error.args[0]["C"])

        waiting = threading.Thread(target=work)
        waiting.start()
        waiting.join(6)
        assert outcome == ["55P03"]
        shopper.run("ROLLBACK")
        assert make(maker, FAR.date(), 0) == len(TABLES)


def test_how_far_ahead_is_bounded(superuser: Address) -> None:
    with connected(as_role(superuser, SYSTEM)) as connection:
        for months in (-1, 241):
            with pytest.raises(DatabaseError):
                make(connection, FAR.date(), months)


def test_the_history_of_an_order_is_found_in_one_partition(superuser: Address) -> None:
    """The order's id carries its month, so the other partitions are not even scanned."""
    with acting(superuser, APP, ORGANIZATION) as connection:
        connection.run("SET LOCAL plan_cache_mode = force_custom_plan")
        plan = connection.run(
            "EXPLAIN (COSTS OFF) SELECT * FROM orders.order_status_history"
            " WHERE organization_id = :o AND order_id = :id",
            o=ORGANIZATION,
            id=connection.run("SELECT tenancy.uuid_v7(now())")[0][0],
        )
    scanned = [line for [line] in plan if " on order_status_history" in line]
    assert len(scanned) == 1
