"""The one table of errors: every error has its answer, and a bug is not described to the caller at all."""

import importlib
import json
import pkgutil
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

import holdfast
from holdfast.database.engine import make_engine
from holdfast.database.errors import ConstraintViolated
from holdfast.database.transaction import Database
from holdfast.gateways.registry import GATEWAY_NAMES
from holdfast.values.errors import HoldfastError, Rejected, Transient
from holdfast.web.checkout_models import PaymentBody
from holdfast.web.problems import CONTENT_TYPE, STATUS_OF_CODE, problem, response_for
from local.documented import document
from tests.handlers.door import Door, checkout_body


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def every_error(kind: type[HoldfastError]) -> list[type[Any]]:
    """Return all subclasses in the package, whichever module they are in."""
    for module in pkgutil.walk_packages(holdfast.__path__, "holdfast."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    return [found for found in subclasses(kind) if found.__module__.startswith("holdfast.")]


def test_every_rejection_has_a_row_and_every_row_a_rejection() -> None:
    codes = {error.code for error in every_error(Rejected)}
    told_with_its_order = "payment_declined"  # a declined payment changes the order, so no error is raised for it
    assert codes | {"unavailable", told_with_its_order} == set(STATUS_OF_CODE)


def test_no_two_rejections_share_a_code() -> None:
    # A class without a code of its own is reported with the code of its base class.
    codes = [error.code for error in every_error(Rejected) if "code" in vars(error)]
    assert len(codes) == len(set(codes))


def test_a_rejection_is_the_callers_problem_and_never_a_5xx() -> None:
    assert all(400 <= STATUS_OF_CODE[error.code] < 500 for error in every_error(Rejected))


def test_whatever_passes_is_told_as_503_with_the_seconds_to_wait() -> None:
    for error in every_error(Transient):
        response = response_for(error("secret-host:5432 refused", retry_after_seconds=7), "c-1")
        assert (response.status_code, response.content_type) == (503, CONTENT_TYPE)
        assert response.headers["Retry-After"] == "7"
        assert "secret-host" not in str(response.body)


def test_a_bug_is_not_told_as_anything_else() -> None:
    told = {*every_error(Rejected), *every_error(Transient)}
    bugs = [error for error in every_error(HoldfastError) if error not in told]
    assert ConstraintViolated in bugs
    for bug in bugs:
        with pytest.raises(bug):
            response_for(Exception.__new__(bug), "c-1")


def test_the_facts_of_an_error_cannot_pose_as_the_error() -> None:
    facts = {"status": 200, "code": "ok", "type": "x", "correlation_id": "mine", "items": [1]}
    told = problem("out_of_stock", "gone", "c-1", facts)
    assert told == problem("out_of_stock", "gone", "c-1") | {"items": [1]}
    assert told["status"] == 409


def test_every_code_of_the_document_is_in_the_table_under_its_status() -> None:
    for operations in document()["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                schema = answer["content"].get(CONTENT_TYPE, {}).get("schema", {})
                for code in schema.get("properties", {}).get("code", {}).get("enum", ()):
                    assert STATUS_OF_CODE[code] == int(status)


def test_a_checkout_takes_the_gateways_that_are_wired_and_no_other() -> None:
    gateway = PaymentBody.model_fields["gateway"].annotation
    named, _none = get_args(gateway)
    assert set(get_args(named)) == set(GATEWAY_NAMES), "name them in web/checkout_models.py, then run `make api-docs`"


def test_a_bug_reaches_lambda_and_its_alarm(door: Door) -> None:
    door.house.runtime.__dict__["database"] = "not a database"
    with pytest.raises(AttributeError):
        door.ask("GET /v1/orders")
    with pytest.raises(AttributeError):
        door.ask("POST /v1/checkout", checkout_body())
    door.house.runtime.__dict__.pop("database")


QUOTE = {key: value for key, value in checkout_body().items() if key != "payment"}
ASK: dict[str, Callable[[Door], Any]] = {
    "checkout": lambda door: door.ask("POST /v1/checkout", checkout_body()),
    "quote": lambda door: door.ask("POST /v1/checkout/quote", QUOTE),
    "pay": lambda door: door.ask(
        "POST /v1/orders/{order_id}/payments", {"payment": checkout_body()["payment"]}, order_id="x"
    ),
    "orders": lambda door: door.ask("GET /v1/orders"),
    "order": lambda door: door.ask("GET /v1/orders/{reference}", reference="x"),
    "cancel": lambda door: door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id="x"),
    "guest": lambda door: door.ask("POST /v1/guest-sessions", who={}, headers={"x-publishable-key": "pk_x"}),
    "webhook": lambda door: door.ask("POST /v1/webhooks/{gateway}", "{}", who={}, gateway="stripe"),
    "health": lambda door: door.ask("GET /v1/health", who={}),
}


def test_without_a_database_every_route_says_when_to_come_back(door: Door) -> None:
    runtime = door.house.runtime
    database = runtime.database
    runtime.__dict__["database"] = Database(make_engine(replace(runtime.settings.database, port=1)))
    try:
        replies = {name: ask(door) for name, ask in ASK.items()}
    finally:
        runtime.__dict__["database"] = database
    for name, reply in replies.items():
        assert (reply.status, reply.body["code"]) == (503, "unavailable"), name
        assert int(reply.headers["retry-after"]) >= 1
        assert "127.0.0.1" not in reply.raw
    assert door.ask("GET /v1/health", who={}).status == 200


def test_an_error_of_the_database_quotes_neither_rows_nor_parameters(door: Door) -> None:
    house = door.house
    database = house.runtime.database
    insert = (
        "INSERT INTO tenancy.customers (organization_id, id, email, created_at)"
        " VALUES (:organization_id, :id, :email, :now)"
    )
    email = "ada@private.example"
    values = {"organization_id": house.organization_id, "id": uuid.uuid4(), "email": email, "now": house.clock()}
    found = ""
    for _ in range(2):
        try:
            with database.transaction(house.organization_id, now=house.clock()) as transaction:
                transaction.execute(insert, **values)
        except HoldfastError as error:
            found = "".join(traceback.format_exception(error))
    assert "customers_pkey" in found
    assert email not in found
    assert str(values["id"]) not in found


def test_when_every_connection_is_in_use_the_caller_is_told_to_come_back(door: Door) -> None:
    house = door.house
    database = house.runtime.database
    small = make_engine(house.runtime.settings.database)
    pool: Any = small.pool
    pool._timeout = 0.05
    held = [small.connect() for _ in range(house.runtime.settings.database.pool_max_connections)]
    house.runtime.__dict__["database"] = Database(small)
    try:
        reply = door.ask("GET /v1/orders")
    finally:
        for connection in held:
            connection.close()
        small.dispose()
        house.runtime.__dict__["database"] = database
    assert (reply.status, reply.body["code"]) == (503, "unavailable")


def test_a_problem_is_json_that_any_client_reads(door: Door) -> None:
    reply = door.ask("GET /v1/orders/{reference}", reference="nothing")
    assert json.loads(reply.raw) == {
        "type": "urn:holdfast:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "there is no such order",
        "code": "not_found",
        "correlation_id": reply.body["correlation_id"],
    }


def test_no_answer_is_kept_or_guessed_at_unless_its_route_says_so(door: Door) -> None:
    answers = [
        door.ask("GET /v1/orders"),
        door.ask("POST /v1/checkout", "{", key=str(uuid.uuid4())),
        door.ask("POST /v1/checkout", checkout_body(colour="red"), key=str(uuid.uuid4())),
        door.ask("GET /v1/health", who=None),
    ]
    assert {answer.status for answer in answers} == {200, 400, 422}
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
