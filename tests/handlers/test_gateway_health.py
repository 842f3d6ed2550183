"""The health of the gateways, as the operations team sees it."""

from datetime import timedelta

import pytest

from tests.flows.actions import ordered, resume
from tests.handlers.door import Door

GATEWAYS = "GET /v1/ops/gateways"


@pytest.fixture
def grace(door: Door) -> dict[str, str]:
    return door.staff("manager")


def test_an_account_that_was_never_used_has_nothing_to_tell(door: Door, grace: dict[str, str]) -> None:
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert (account["gateway"], account["endpoint_key"]) == ("stripe", door.house.endpoint_key)
    assert account["calls"] == {
        "count": 0, "unanswered": 0, "refused": 0, "error_rate": None, "p50_ms": None, "p95_ms": None, "last_at": None
    }  # fmt: skip
    assert (account["last_webhook_at"], account["unprocessed_events"], account["undecided_payments"]) == (None, 0, 0)


def test_calls_without_an_answer_are_told_from_refused_ones(door: Door, grace: dict[str, str]) -> None:
    house = door.house
    house.add_variant(stock=10)
    ordered(house)
    ordered(house, token="pm_nobody")
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_before")
    ordered(house)
    ordered(house, token="pm_card_chargeDeclined")
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    calls = account["calls"]
    assert (calls["count"], calls["unanswered"], calls["refused"], calls["error_rate"]) == (4, 1, 1, 0.25)
    assert 0 <= calls["p50_ms"] <= calls["p95_ms"] < 10_000
    assert calls["last_at"] is not None


def test_what_is_older_than_an_hour_does_not_count(door: Door, grace: dict[str, str]) -> None:
    door.house.add_variant(stock=10)
    ordered(door.house)
    door.house.sql("UPDATE operations.api_calls SET id = tenancy.uuid_v7_floor(now() - interval '61 minutes')")
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert account["calls"]["count"] == 0


def test_webhooks_and_what_waits_are_told_account_by_account(door: Door, grace: dict[str, str]) -> None:
    house = door.house
    house.add_variant(stock=10)
    order_id = ordered(house, token="pm_card_authenticationRequired")
    (webhook,) = house.webhooks("payment_intent.requires_action", order_id=order_id)
    assert house.deliver(webhook) == 1
    house.sql("UPDATE payments.payments SET created_at = now() - interval '6 minutes'")
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert (account["unprocessed_events"], account["undecided_payments"]) == (1, 1)
    assert account["last_webhook_at"] == account["oldest_unprocessed_at"] == house.clock().isoformat()
    assert account["oldest_undecided_at"] < (house.clock() - timedelta(minutes=5)).isoformat()
    house.work()
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert (account["unprocessed_events"], account["oldest_unprocessed_at"]) == (0, None)


def test_a_refund_that_fails_and_is_tried_again_is_told_with_its_account(door: Door, grace: dict[str, str]) -> None:
    house = door.house
    house.add_variant(stock=10)
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_before")
    house.cancel(order_id)
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert (account["failing_operations"], account["oldest_failing_at"] is None) == (1, False)
    house.clock.advance(minutes=5)
    resume(house)
    (account,) = door.ask(GATEWAYS, who=grace).body["gateways"]
    assert account["failing_operations"] == 0
