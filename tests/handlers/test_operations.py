"""The operations API: the timeline of an order, and disputes."""

import pytest

from tests.handlers.door import Door, checkout_body
from tests.handlers.test_process_failures import fail

TIMELINE = "GET /v1/ops/orders/{reference}/timeline"


@pytest.fixture
def grace(door: Door) -> dict[str, str]:
    return door.staff("manager")


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
    assert {entry["kind"] for entry in entries} == kinds | {"process_failure", "shipment"}
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    steps = [entry["data"]["to"] for entry in entries if entry["kind"] == "status"]
    assert steps == [step["to"] for step in door.house.order(order["id"])["timeline"]]
    of_order = [entry for entry in entries if entry["kind"] == "message" and entry["what"].startswith("order.")]
    messages = [entry["sequence"] for entry in of_order]
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
