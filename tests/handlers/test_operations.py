"""The operations API: the inbox of failures, and the timeline of an order."""

from typing import Any

import pytest

from holdfast.values.ids import uuid7
from tests.handlers.door import Door, checkout_body

FAILURES = "GET /v1/ops/process-failures"
FAILURE = "GET /v1/ops/process-failures/{failure_id}"
ASSIGN = "POST /v1/ops/process-failures/{failure_id}/assign"
RESOLVE = "POST /v1/ops/process-failures/{failure_id}/resolve"
TIMELINE = "GET /v1/ops/orders/{reference}/timeline"


@pytest.fixture
def grace(door: Door) -> dict[str, str]:
    return door.staff("manager")


def fail(door: Door, process_name: str = "PaymentUndecided", related_id: Any = None) -> str:
    """Something that a person must look at; its id."""
    failure_id = uuid7(door.house.clock.advance(seconds=1))
    door.house.sql(
        "INSERT INTO operations.process_failures (organization_id, id, process_name, related_id, details, payload,"
        " created_at) VALUES (:o, :id, :process, :related, 'nobody knows', '{\"amount\": 5}', :now)",
        o=door.house.organization_id,
        id=failure_id,
        process=process_name,
        related=related_id or uuid7(door.house.clock.now),
        now=door.house.clock.now,
    )
    return str(failure_id)


def test_open_failures_are_listed_newest_first_page_by_page(door: Door, grace: dict[str, str]) -> None:
    made = [fail(door) for _ in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = door.ask(FAILURES, who=grace, query=query).body
        seen += [failure["id"] for failure in page["process_failures"]]
        if page["next_before"] is None:
            break
        query = {"limit": "2", "before": page["next_before"]}
    assert seen == made[::-1]


def test_failures_are_filtered_by_process_and_status(door: Door, grace: dict[str, str]) -> None:
    late, undecided = fail(door, "LatePayment"), fail(door)
    door.ask(RESOLVE, {"note": "told the shopper", "version": 1}, who=grace, failure_id=late)

    def listed(**query: str) -> list[str]:
        return [f["id"] for f in door.ask(FAILURES, who=grace, query=query).body["process_failures"]]

    assert listed() == [undecided]
    assert listed(process_name="LatePayment") == []
    assert listed(process_name="LatePayment", status="resolved") == [late]
    assert door.ask(FAILURES, who=grace, query={"status": "gone"}).status == 422
    assert door.ask(FAILURES, who=grace, query={"limit": "101"}).status == 422


def test_a_failure_is_taken_and_resolved_with_a_note_by_name(door: Door, grace: dict[str, str]) -> None:
    failure_id = fail(door)
    taken = door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=failure_id).body["process_failure"]
    assert (taken["assigned_to"], taken["version"]) == (f"staff:{grace['sub']}", 2)
    given = door.ask(ASSIGN, {"assigned_to": "maria", "version": 2}, who=grace, failure_id=failure_id)
    assert given.body["process_failure"]["assigned_to"] == "maria"
    body = {"note": "refunded by hand at the gateway", "version": 3}
    resolved = door.ask(RESOLVE, body, who=grace, failure_id=failure_id).body["process_failure"]
    assert resolved == door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]
    assert resolved["status"] == "resolved"
    assert resolved["resolved_by"] == f"staff:{grace['sub']}"
    assert resolved["resolution_notes"] == "refunded by hand at the gateway"
    assert resolved["payload"] == {"amount": 5}


def test_two_people_do_not_undo_each_others_work(door: Door, grace: dict[str, str]) -> None:
    failure_id = fail(door)
    assert door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=failure_id).status == 200
    stale = door.ask(RESOLVE, {"note": "done", "version": 1}, who=door.staff("admin"), failure_id=failure_id)
    assert (stale.status, stale.body["code"], stale.body["version"]) == (409, "conflict", 2)
    assert door.ask(RESOLVE, {"note": "done", "version": 2}, who=grace, failure_id=failure_id).status == 200
    for route, body in ((ASSIGN, {"version": 3}), (RESOLVE, {"note": "again", "version": 3})):
        late = door.ask(route, body, who=grace, failure_id=failure_id)
        assert (late.status, late.body["code"]) == (409, "conflict")
    failure = door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]
    assert failure["resolution_notes"] == "done"


@pytest.mark.parametrize(
    "body", [{"version": 1}, {"note": "", "version": 1}, {"note": "x"}, {"note": "x", "version": 0}]
)
def test_a_resolution_says_what_was_done_about_which_version(
    door: Door, grace: dict[str, str], body: dict[str, Any]
) -> None:
    failure_id = fail(door)
    assert door.ask(RESOLVE, body, who=grace, failure_id=failure_id).status == 422
    assert door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]["status"] == "open"


def test_a_failure_that_is_not_there_is_not_found(door: Door, grace: dict[str, str]) -> None:
    nobody = str(uuid7(door.house.clock.now))
    assert door.ask(FAILURE, who=grace, failure_id=nobody).status == 404
    assert door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=nobody).status == 404
    assert door.ask(RESOLVE, {"note": "x", "version": 1}, who=grace, failure_id=nobody).status == 404


def test_the_timeline_of_an_order_tells_everything_in_order_of_time(door: Door, grace: dict[str, str]) -> None:
    door.house.add_variant("TEE", stock=10)
    order = door.ask("POST /v1/checkout", checkout_body()).body["order"]
    fail(door, "PaymentUndecided", order["payments"][0]["id"])
    door.house.clock.advance(minutes=1)
    assert door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=order["id"]).status == 200
    told = door.ask(TIMELINE, who=grace, reference=order["order_number"].lower()).body
    assert (told["order_id"], told["is_complete"]) == (order["id"], True)
    entries = told["entries"]
    kinds = {"payment", "payment_event", "api_call", "status", "stock_movement", "refund", "operation", "message"}
    assert {entry["kind"] for entry in entries} == kinds | {"process_failure"}
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    steps = [entry["data"]["to"] for entry in entries if entry["kind"] == "status"]
    assert steps == [step["to"] for step in door.house.order(order["id"])["timeline"]]
    messages = [entry["sequence"] for entry in entries if entry["kind"] == "message"]
    assert messages == sorted(messages)
    assert [e["what"] for e in entries if e["kind"] == "stock_movement"] == ["reserve 1", "sale -1", "return 1"]
    assert [e["what"] for e in entries if e["kind"] == "process_failure"] == ["PaymentUndecided open"]


def test_a_timeline_shows_no_names_and_addresses(door: Door, grace: dict[str, str]) -> None:
    door.house.add_variant("TEE", stock=10)
    order = door.ask("POST /v1/checkout", checkout_body()).body["order"]
    told = door.ask(TIMELINE, who=grace, reference=order["id"]).raw
    assert not [word for word in ("Lovelace", "Analytical", "ada@example.com", "80202") if word in told]


def test_disputes_are_listed_by_status_with_the_day_to_answer_by(door: Door, grace: dict[str, str]) -> None:
    house = door.house
    house.add_variant("TEE", stock=10)
    order = door.ask("POST /v1/checkout", checkout_body()).body["order"]
    (intent,) = house.stripe("GET", f"/payment_intents?metadata[order_id]={order['id']}")
    disputes = "GET /v1/ops/disputes"
    for status, listed_as in ((None, "opened"), ("under_review", "under_review"), ("lost", "closed")):
        house.stripe("POST", f"/payment_intents/{intent['id']}/dispute", {"status": status})
        word = {"opened": "created", "under_review": "updated", "closed": "closed"}[listed_as]
        for event in house.webhooks(f"charge.dispute.{word}"):
            house.deliver(event)
        house.work()
        for asked in ("opened", "under_review", "closed"):
            found = door.ask(disputes, who=grace, query={"status": asked}).body["disputes"]
            assert [row["order_id"] for row in found] == ([order["id"]] if asked == listed_as else [])
    (lost,) = door.ask(disputes, who=grace, query={"status": "closed"}).body["disputes"]
    assert (lost["outcome"], lost["lost_minor"]) == ("lost", order["amounts"]["total_minor"])
    assert "T" in lost["due_at"]
    told = door.ask(TIMELINE, who=grace, reference=order["id"]).body["entries"]
    assert [entry["what"] for entry in told if entry["kind"] == "dispute"] == ["dispute closed"]
    assert house.violations() == []
