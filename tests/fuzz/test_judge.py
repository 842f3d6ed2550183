"""The fuzzer can fail: it reports every kind of fault that is there, and no write can hide."""

import json
from collections.abc import Collection
from typing import Any

import pytest
import requests
from schemathesis.core.transport import Response

from tests.fuzz.cases import Shot
from tests.fuzz.judge import Outcome, judge
from tests.fuzz.people import Person
from tests.fuzz.run import operations
from tests.fuzz.writes import Notebook, Written
from tests.house import House

ROUTE = "GET /v1/orders"
PROBLEM = {
    "type": "urn:holdfast:problem:forbidden",
    "title": "Forbidden",
    "status": 403,
    "detail": "no",
    "code": "forbidden",
}
NO_ORDERS = {"orders": [], "next_before": None, "has_archived": False}
CUSTOMER = Person("customer", "Bearer x", "customer")
OURS = "01930000-0000-7000-8000-0000000000d1"
CASE = next(o for o in operations() if (o.method.upper(), o.path) == ("GET", "/v1/orders")).Case()


def outcome(
    status: int,
    body: Any,
    *,
    person: Person = CUSTOMER,
    media: str = "application/json",
    written: Collection[Written] = (),
    names_ours: bool = False,
    is_forbidden: bool = False,
    took: str = ROUTE,
) -> Outcome:
    shot = Shot(ROUTE, "sample", person, CASE, names_ours=names_ours, is_forbidden=is_forbidden)
    request = requests.Request("GET", "http://api.holdfast.example/v1/orders").prepare()
    answer = Response(
        status,
        {"content-type": [media]},
        json.dumps(body).encode(),
        request,
        elapsed=0.0,
        verify=False,
        http_version="1.1",
    )
    return Outcome(shot, took, answer, written, {OURS})


def test_a_good_answer_is_well() -> None:
    assert judge(outcome(200, NO_ORDERS)) == []
    assert judge(outcome(403, PROBLEM, media="application/problem+json", person=Person("viewer", "x", None))) == []


def test_a_refusal_that_writes_by_design_is_let_be_for_its_code_alone() -> None:
    route = "POST /v1/ops/shipments/{shipment_id}/ship"
    ship = next(o for o in operations() if f"{o.method.upper()} {o.path}" == route)
    shot = Shot(route, "sample", Person("manager", "x", "manager"), ship.Case(path_parameters={"shipment_id": OURS}))
    for code, wrong in (("capture_failed", False), ("conflict", True)):
        refused = outcome(409, PROBLEM | {"status": 409, "code": code}, media="application/problem+json")
        found = judge(Outcome(shot, route, refused.answer, [Written("orders.orders", "update")], ()))
        assert any("did update" in line for line in found) == wrong


FAULTS = {
    "a server error": (outcome(500, {}), "it answered 500"),
    "a server error on another route": (outcome(503, {}, took="GET /v1/health"), "it answered 503"),
    "an undocumented status": (outcome(418, {}), "Undocumented status code"),
    "an undocumented content type": (outcome(200, NO_ORDERS, media="text/html"), "Undocumented Content-Type"),
    "a body of another form": (outcome(200, {"orders": 7}), "Response violates schema"),
    "a code that the route does not refuse with": (
        outcome(403, PROBLEM | {"code": "gone"}, media="application/problem+json"),
        "Response violates schema",
    ),
    "a refusal that writes": (
        outcome(403, PROBLEM, media="application/problem+json", written=[Written("orders.orders", "update")]),
        "it was refused with 403 and did update orders.orders",
    ),
    "a body that the document forbids and the function takes": (
        outcome(200, NO_ORDERS, is_forbidden=True),
        "the document forbids the body",
    ),
    "a bad token that is let through": (
        outcome(200, NO_ORDERS, person=Person("an expired token", "Bearer x", is_let_through=False)),
        "an expired token was answered 200",
    ),
    "somebody who may not": (outcome(200, NO_ORDERS, person=Person("a root", "Bearer x")), "a root may not do this"),
    "a stranger who is served what is ours": (
        outcome(200, NO_ORDERS, person=Person("their owner", "x", "owner", is_stranger=True), names_ours=True),
        "their owner named a thing of this shop",
    ),
    "a stranger who is told what is ours": (
        outcome(404, PROBLEM | {"detail": OURS}, person=Person("their owner", "x", "owner", is_stranger=True)),
        f"their owner was told {OURS}",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_told(what: str) -> None:
    found, told = FAULTS[what]
    assert any(line.startswith(told) for line in judge(found)), judge(found)


def test_what_was_committed_is_noted_and_nothing_else(house: House) -> None:
    notebook = Notebook(house)
    assert notebook.tables > 60
    house.rows("SELECT * FROM tenancy.organizations FOR UPDATE")
    house.sql("UPDATE tenancy.organizations SET name = 'x' WHERE false")
    with house.engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        connection.exec_driver_sql("DELETE FROM inventory.warehouses")
        connection.rollback()
    assert notebook.tear_off() == frozenset()
    house.add_variant("TEE", stock=1)
    noted = {str(written) for written in notebook.tear_off()}
    assert {"insert catalog.variants", "insert inventory.stock_movements", "update inventory.stock_levels"} <= noted
    assert notebook.tear_off() == frozenset()
