"""Code of the last release on the newest schema, its clients on the newest API, and what would break them."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pg8000.native import Connection

from local.documented import DOCUMENT as CURRENT
from local.postgres import Address, Server
from tests.database.acting import acting
from tests.released.compatibility import breaking
from tests.released.contract import broken, contract_of
from tests.released.data import CONTRACT, DOCUMENT, read


@pytest.fixture
def connection(postgres: Server, db: Address) -> Iterator[Connection]:
    with acting(replace(postgres.admin, database=db.database)) as opened:
        yield opened


def test_code_of_the_last_release_finds_everything_it_calls_reads_and_writes(connection: Connection) -> None:
    assert broken(read(CONTRACT), contract_of(connection)) == []


BREAKS = {
    "a function that is gone": (
        "DROP FUNCTION checkout.settle CASCADE",
        "checkout.settle is not there for the application",
    ),
    "a function that nobody may call": (
        "REVOKE EXECUTE ON FUNCTION checkout.place FROM holdfast_app",
        "checkout.place is not there for the application",
    ),
    "a column that is gone": (
        "ALTER TABLE orders.orders DROP COLUMN internal_notes CASCADE",
        "orders.orders.internal_notes is not there",
    ),
    "a column that must be given": (
        "ALTER TABLE catalog.products ADD vendor text NOT NULL; GRANT INSERT ON catalog.products TO holdfast_app",
        "catalog.products.vendor is new and must be given",
    ),
    "a column of another type": (
        "ALTER TABLE operations.process_failures ALTER COLUMN details TYPE varchar(20)",
        "operations.process_failures.details is character varying(20), not text",
    ),
    "a right to a table that is gone": (
        "REVOKE DELETE ON inventory.warehouse_daily_load FROM holdfast_system",
        "holdfast_system may not delete inventory.warehouse_daily_load",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_migration_that_breaks_it_is_told(connection: Connection, what: str) -> None:
    statement, told = BREAKS[what]
    before = contract_of(connection)
    connection.run(statement)
    assert any(line.startswith(told) for line in broken(before, contract_of(connection))), what


def test_a_migration_that_adds_breaks_nothing(connection: Connection) -> None:
    before = contract_of(connection)
    connection.run("ALTER TABLE orders.orders ADD COLUMN gift boolean NOT NULL DEFAULT false")
    connection.run("CREATE FUNCTION checkout.wrap(p_id uuid) RETURNS uuid LANGUAGE sql AS 'SELECT p_id'")
    assert broken(before, contract_of(connection)) == []


def test_clients_of_the_last_release_are_served() -> None:
    assert breaking(read(DOCUMENT), json.loads(CURRENT.read_text())) == []


def schema(document: Any, name: str) -> Any:
    return document["components"]["schemas"][name]


def operation(document: Any, method: str, path: str) -> Any:
    return document["paths"][path][method]


CHANGES: dict[str, tuple[Callable[[Any], Any], str | None]] = {
    "a route that is gone": (lambda d: d["paths"].pop("/v1/orders"), "GET /v1/orders is gone"),
    "a success of another status": (
        lambda d: operation(d, "post", "/v1/checkout")["responses"].pop("201"),
        "POST /v1/checkout does not answer 201",
    ),
    "a public route that asks for a token": (
        lambda d: operation(d, "post", "/v1/guest-sessions").pop("security"),
        "POST /v1/guest-sessions asks for a token",
    ),
    "a new member that must be sent": (
        lambda d: schema(d, "CheckoutBody")["required"].append("notes"),
        "POST /v1/checkout body.notes must be given",
    ),
    "a member that may not be sent any more": (
        lambda d: schema(d, "CheckoutBody")["properties"].pop("notes"),
        "POST /v1/checkout body.notes is gone",
    ),
    "a member that is not read any more": (
        lambda d: schema(d, "Order")["properties"].pop("order_number"),
        ".order_number is gone",
    ),
    "a member that may be missing": (lambda d: schema(d, "Order")["required"].remove("id"), ".id may be missing"),
    "a query that is gone": (
        lambda d: operation(d, "get", "/v1/orders")["parameters"].pop(0),
        "GET /v1/orders takes no query",
    ),
    "a new route": (lambda d: d["paths"].update({"/v1/new": operation(d, "get", "/v1/health")}), None),
    "a new member of an answer": (
        lambda d: schema(d, "Order")["properties"].update({"gift": {"type": "boolean"}}),
        None,
    ),
    "a new member that may be sent": (
        lambda d: schema(d, "CheckoutBody")["properties"].update({"gift": {"type": "boolean"}}),
        None,
    ),
    "a shorter text": (
        lambda d: schema(d, "CheckoutBody")["properties"].update({"notes": {"type": "string", "maxLength": 1}}),
        "POST /v1/checkout body.notes",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_document_breaks_clients_or_does_not(what: str) -> None:
    change, told = CHANGES[what]
    old = json.loads(CURRENT.read_text())
    new = copy.deepcopy(old)
    change(new)
    found = breaking(old, new)
    assert (found == []) if told is None else any(told in line for line in found), found[:3]
