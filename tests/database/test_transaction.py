"""A transaction: the values it carries, the tenant it belongs to, and the errors that a flow sees."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import DBAPIError, MultipleResultsFound, ResourceClosedError

from holdfast.database.errors import (
    ConnectionLost,
    ConstraintViolated,
    DatabaseBusy,
    SerializationFailure,
    StaleFacts,
    translate,
)
from holdfast.database.transaction import REPLAY_MAX_ATTEMPTS, Database, Transaction
from holdfast.values.errors import Conflict, InvalidInput
from tests.database.acting import connected
from tests.database.conftest import TwoShops
from tests.database.driving import NOW, attempt, backend, divide_by_zero, give_up, open_database, raising, run_over_time


@pytest.fixture(scope="module")
def shared(shops: TwoShops) -> Iterator[Database]:
    """Yield a database that is only read."""
    made = open_database(shops.superuser)
    yield made
    made.engine.dispose()


# --- what it carries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", None),
        ("uuid", None),
        ("text", ""),
        ("text", "Zoë, 北京, 🛒, o'Neil, %s :x $1 \\ \n\t"),
        ("text", "x" * 3_000_000),
        ("bigint", 9_223_372_036_854_775_807),
        ("integer", -1),
        ("numeric", Decimal("12345678901234567890.123456789")),
        ("boolean", True),
        ("boolean", False),
        ("double precision", 40.7357),
        ("uuid", UUID("01930000-0000-7000-8000-000000000001")),
        ("timestamptz", datetime(2031, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("timestamptz", datetime(1969, 1, 1, tzinfo=UTC)),
        ("date", date(2032, 2, 29)),
        ("jsonb", {"a": [1, 2.5, None, True, "ß"], "nested": {"": []}}),
        ("text[]", []),
        ("text[]", ["a", "", "NULL", None, 'quo"te', "back\\slash", "{brace,}", "ü"]),
        ("integer[]", [1, -2, 3]),
        ("bytea", b"\x00\xff raw"),
    ],
)
def test_a_value_comes_back_as_it_went(shared: Database, type_: str, value: Any) -> None:
    with shared.transaction(None, now=NOW) as transaction:
        assert transaction.value(f"SELECT CAST(:value AS {type_})", value=value) == value


@pytest.mark.parametrize("told", ["infinity", "-infinity", "20000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"])
def test_an_instant_that_python_does_not_have_comes_as_its_text(shared: Database, told: str) -> None:
    with shared.transaction(None, now=NOW) as transaction:
        assert transaction.value("SELECT CAST(CAST(:told AS text) AS timestamptz)", told=told) == told


def test_a_name_in_two_places_has_the_type_of_each(shared: Database) -> None:
    with shared.transaction(None, now=NOW) as transaction:
        row = transaction.row("SELECT CAST(:it AS text) AS said, CAST(:it AS integer) + 1 AS next", it="1")
    assert row is not None
    assert (row.said, row.next, row._mapping["next"], tuple(row)) == ("1", 2, 2, ("1", 2))


def test_one_row_is_asked_for_and_two_are_a_mistake(shared: Database) -> None:
    for ask in (Transaction.row, Transaction.value):
        with pytest.raises(MultipleResultsFound), shared.transaction(None, now=NOW) as transaction:
            ask(transaction, "SELECT generate_series(1, CAST(:rows AS integer))", rows=2)
        with shared.transaction(None, now=NOW) as transaction:
            assert ask(transaction, "SELECT generate_series(1, CAST(:rows AS integer))", rows=0) is None


def test_a_statement_without_rows_has_no_value(shared: Database) -> None:
    with pytest.raises(ResourceClosedError), shared.transaction(None, now=NOW) as transaction:
        transaction.value("SET LOCAL lock_timeout = '1s'")


def test_an_error_shows_the_statement_and_none_of_its_parameters(shared: Database) -> None:
    with pytest.raises(DBAPIError) as found, shared.transaction(None, now=NOW) as transaction:
        transaction.value("SELECT 1 / CAST(:zero AS integer), CAST(:address AS text)", zero=0, address="1 Main Street")
    assert "CAST($1 AS integer)" in str(found.value)
    assert "Main" not in str(found.value)


def test_a_list_for_jsonb_travels_as_its_text(shared: Database) -> None:
    """The driver takes a Python list for an array."""
    with shared.transaction(None, now=NOW) as transaction:
        assert transaction.value("SELECT CAST(:value AS jsonb)", value='[1, "a"]') == [1, "a"]


def test_uuids_travel_in_arrays_as_text(shared: Database) -> None:
    ids = [uuid4(), uuid4()]
    with shared.transaction(None, now=NOW) as transaction:
        back = transaction.value("SELECT CAST(:ids AS uuid[])", ids=[str(each) for each in ids])
    assert back == ids


@pytest.mark.parametrize("type_", ["text", "jsonb"])
def test_a_text_that_cannot_be_stored_is_the_callers_fault(shared: Database, type_: str) -> None:
    value = "a\x00b" if type_ == "text" else {"note": "a\x00b"}
    with pytest.raises(InvalidInput), shared.transaction(None, now=NOW) as transaction:
        transaction.value(f"SELECT CAST(:value AS {type_})", value=value)


# --- the pool and the tenant -------------------------------------------------------------------------------------


def test_a_statement_over_its_time_is_told_as_busy_and_the_connection_goes_on(shared: Database) -> None:
    pid = backend(shared)
    with pytest.raises(DatabaseBusy):
        attempt(shared, run_over_time)
    assert backend(shared) == pid


def test_the_tenant_the_actor_and_the_clock_end_with_their_transaction(shops: TwoShops, shared: Database) -> None:
    seen = "SELECT count(*) FROM orders.orders"
    settings = "SELECT current_setting('holdfast.organization_id', true), current_setting('holdfast.actor', true)"
    organization_id = shops.b.organization_id
    with shared.transaction(organization_id, now=NOW, actor="staff:grace") as transaction:
        assert transaction.value(seen) > 0
        assert transaction.value("SELECT tenancy.clock()") == NOW
        assert list(transaction.rows(settings)[0]) == [str(organization_id), "staff:grace"]
    for ending in (give_up, divide_by_zero, run_over_time):
        with suppress(LookupError, DBAPIError, DatabaseBusy), shared.transaction(organization_id, now=NOW) as each:
            ending(each)
        with shared.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            cursor = raw.cursor()
            cursor.execute(seen)
            assert cursor.fetchone() == [0], f"rows of the last tenant after {ending.__name__}"
            cursor.execute(settings)
            assert cursor.fetchone() == ["", ""]


def test_one_connection_serves_one_tenant_after_the_other(shops: TwoShops, shared: Database) -> None:
    pids = set()
    for shop in (shops.a, shops.b, shops.a, shops.b):
        with shared.transaction(shop.organization_id, now=NOW) as transaction:
            found = transaction.rows("SELECT DISTINCT organization_id FROM orders.orders")
            assert [row[0] for row in found] == [shop.organization_id]
            pids.add(transaction.value("SELECT pg_backend_pid()"))
    assert len(pids) == 1


@pytest.mark.parametrize("actor", ["o'neil", "a b", "", "x" * 201, "a;b", "a\nb"])
def test_an_actor_that_could_carry_sql_is_refused(shared: Database, actor: str) -> None:
    with pytest.raises(ValueError, match="not an actor"), shared.transaction(None, now=NOW, actor=actor):
        pass


def test_an_instant_without_a_zone_is_refused(shared: Database) -> None:
    with pytest.raises(ValueError, match="timezone"), shared.transaction(None, now=NOW.replace(tzinfo=None)):
        pass


# --- the errors that a flow sees ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "constraint", "error"),
    [
        ("40001", "", SerializationFailure),
        ("40P01", "", SerializationFailure),
        ("HF001", "stock_levels_reserved_within_on_hand", StaleFacts),
        ("HF002", "order_status_transition", ConstraintViolated),
        ("55P03", "", DatabaseBusy),
        ("57014", "", DatabaseBusy),
        ("57P01", "", ConnectionLost),
        ("53300", "", ConnectionLost),
        ("23514", "stock_levels_on_hand_not_negative", ConstraintViolated),
        ("23505", "orders_order_number_unique", ConstraintViolated),
        ("23505", "payments_one_open_attempt", Conflict),
        ("23505", "payments_attempt_unique", Conflict),
        ("23514", "payments_refunds_within_captured", Conflict),
        ("23505", "customers_auth_subject_unique", StaleFacts),
        ("23505", "order_operations_one_running", Conflict),
    ],
)
def test_an_sqlstate_becomes_the_error_a_flow_knows(
    shared: Database, state: str, constraint: str, error: type[Exception]
) -> None:
    with pytest.raises(error), shared.transaction(None, now=NOW) as transaction:
        transaction.execute(raising(state, constraint))


def test_business_errors_are_those_of_constraints_that_exist(shops: TwoShops) -> None:
    from holdfast.database.errors import _BUSINESS_ERRORS  # noqa: PLC0415 -- a table of names, proved right here

    with connected(shops.superuser) as connection:
        rows = connection.run(
            "SELECT conname FROM pg_constraint UNION SELECT relname FROM pg_class WHERE relkind = 'i'"
        )
    assert set(_BUSINESS_ERRORS) <= {row[0] for row in rows}


def test_what_is_no_database_error_comes_back_unchanged() -> None:
    error = LookupError("mine")
    assert translate(error) is error


def test_a_transaction_that_keeps_failing_to_serialize_is_given_up(shared: Database) -> None:
    runs: list[int] = []

    def work(transaction: Transaction) -> None:
        runs.append(1)
        transaction.execute(raising("40001"))

    with pytest.raises(SerializationFailure):
        shared.transact(None, work, now=NOW)
    assert len(runs) == REPLAY_MAX_ATTEMPTS


def test_what_is_no_serialization_failure_is_not_replayed(shared: Database) -> None:
    runs: list[int] = []

    def work(transaction: Transaction) -> None:
        runs.append(1)
        transaction.execute(raising("HF001"))

    with pytest.raises(StaleFacts):
        shared.transact(None, work, now=NOW)
    assert len(runs) == 1
