"""A gateway that does not answer delays nobody else: neither other accounts nor other tasks of the same run."""

import json
import uuid

import boto3
import pytest

from holdfast.flows.money import watch_payments
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.gateway_run import SILENCES_MAX, GatewayRun
from holdfast.flows.money.return_money import return_money_owed
from holdfast.values.ids import uuid7
from holdfast.web.schedules import Shares
from tests.flows.actions import check, ordered, resume, status
from tests.house import House
from tests.refunding import refund

CREATE = {"operation": "payment_intents.create"}
REFUND = {"operation": "refunds.create"}
AT_SILENT_ONE = 6


@pytest.fixture
def shop(house: House) -> House:
    house.add_variant(stock=50)
    return house


def take_money_elsewhere(house: House) -> str:
    """Add a second account at Stripe, at which the next orders are paid, and return its API key."""
    api_key, reference = f"sk_test_{uuid.uuid4().hex}", f"holdfast/test/{uuid.uuid4().hex}"
    boto3.client("secretsmanager").create_secret(
        Name=reference, SecretString=json.dumps({"api_key": api_key, "webhook_secrets": [house.webhook_secret]})
    )
    house.sql("UPDATE tenancy.gateway_accounts SET status = 'disabled'")
    house.sql(
        "INSERT INTO tenancy.gateway_accounts"
        " (organization_id, id, gateway, endpoint_key, secret_reference, created_at)"
        " VALUES (:o, :id, 'stripe', :key, :reference, :now)",
        o=house.organization_id,
        id=uuid7(house.clock.now),
        key=f"second-{uuid.uuid4().hex[:12]}",
        reference=reference,
        now=house.clock.now,
    )
    return api_key


def counted(house: House, sql: str) -> list[int]:
    return [row["n"] for row in house.rows(sql)]


def test_an_account_that_is_silent_three_times_is_left_alone_and_the_others_are_asked(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_payments, "CHECKS_MAX_PAYMENTS", SILENCES_MAX + 1)
    shop.stripe_behaves(match=CREATE, http_status=503, times=None)
    silent = [ordered(shop) for _ in range(AT_SILENT_ONE)]
    shop.clock.advance(seconds=1)
    api_key = take_money_elsewhere(shop)
    shop.stripe("POST", "/behaviors", {"match": {**CREATE, "account": api_key}, "fault": "timeout_after"})
    waiting = ordered(shop)
    shop.clock.advance(seconds=90)
    assert check(shop) == SILENCES_MAX + 1
    assert status(shop, waiting) == "confirmed"
    assert {status(shop, order_id) for order_id in silent} == {"payment_processing"}
    asked = "SELECT checks AS n FROM payments.payments WHERE status = 'processing' ORDER BY checks"
    assert counted(shop, asked) == [0] * (AT_SILENT_ONE - SILENCES_MAX) + [1] * SILENCES_MAX
    check(shop)
    assert counted(shop, asked) == [1] * AT_SILENT_ONE, "the next run asks those whose turn did not come"
    assert shop.violations() == []


def test_a_silent_account_does_not_keep_the_money_of_others_from_going_back(
    shop: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_payments, "RETURNS_MAX_ORDERS", SILENCES_MAX + 1)
    silent = [ordered(shop) for _ in range(AT_SILENT_ONE)]
    shop.stripe_behaves(match=REFUND, http_status=503, times=None)
    for order_id in silent:
        refund(shop, order_id)
    shop.clock.advance(seconds=1)
    api_key = take_money_elsewhere(shop)
    waiting = ordered(shop)
    shop.stripe("POST", "/behaviors", {"match": {**REFUND, "account": api_key}, "http_status": 503})
    refund(shop, waiting)
    shop.clock.advance(seconds=90)
    assert resume(shop) == SILENCES_MAX + 1
    assert status(shop, waiting) == "cancelled"
    attempts = "SELECT attempts AS n FROM orders.order_operations WHERE state = 'running' ORDER BY attempts"
    assert counted(shop, attempts) == [1] * (AT_SILENT_ONE - SILENCES_MAX) + [2] * SILENCES_MAX
    assert shop.violations() == []


def test_an_answer_ends_a_row_of_silences() -> None:
    run, account = GatewayRun(), uuid.uuid4()
    for is_answered in (False, False, True, False, False):
        run.note(account, is_answered=is_answered)
    assert run.may_ask(account)
    run.within(lambda: 1.0).note(account, is_answered=False)
    assert (run.may_ask(account), run.left_alone) == (False, [account]), "what one task heard, the next one knows"
    assert run.may_ask(uuid.uuid4())


def test_a_worker_whose_time_is_up_leaves_the_return_to_the_watchdog_and_counts_no_attempt(shop: House) -> None:
    order_id = ordered(shop, token="pm_card_authenticationRequired")
    shop.stripe_behaves(match={"operation": "payment_intents.cancel"}, http_status=503)
    shop.cancel(order_id)
    return_money_owed(shop.runtime, shop.organization_id, uuid.UUID(order_id), shop.clock, GatewayRun(lambda: 0.0))
    paid = ordered(shop)
    shop.stripe_behaves(match=REFUND, http_status=503)
    shop.cancel(paid)
    shop.clock.advance(minutes=2)
    before = counted(shop, "SELECT attempts AS n FROM orders.order_operations ORDER BY id")
    for each in (order_id, paid):
        return_money_owed(shop.runtime, shop.organization_id, uuid.UUID(each), shop.clock, GatewayRun(lambda: 0.0))
    assert counted(shop, "SELECT attempts AS n FROM orders.order_operations ORDER BY id") == before == [1, 1]
    assert resume(shop) == 2, "they are due at once"
    assert counted(shop, "SELECT attempts AS n FROM orders.order_operations WHERE state = 'done'") == [2, 2]
    assert shop.violations() == []


def test_news_is_applied_though_no_time_is_left_for_what_it_owes(shop: House) -> None:
    order_id = ordered(shop, token="pm_card_authenticationRequired")
    shop.stripe_behaves(match={"operation": "payment_intents"}, http_status=503, times=None)
    shop.cancel(order_id)
    shop.stripe("DELETE", "/behaviors")
    (intent,) = shop.stripe("GET", f"/payment_intents?metadata[order_id]={order_id}")
    shop.stripe("POST", f"/payment_intents/{intent['id']}/authenticate", {"succeed": True})
    (webhook,) = shop.webhooks("payment_intent.succeeded", order_id=order_id)
    shop.clock.advance(minutes=2)
    shop.deliver(webhook)
    event_id = shop.value("SELECT id FROM payments.payment_events WHERE state = 'pending'")
    apply_payment_event(shop.runtime, shop.organization_id, event_id, shop.clock, GatewayRun(lambda: 0.0))
    assert shop.charges()["refunded"] == 0
    resume(shop)
    assert shop.charges()["refunded"] == shop.charges()["captured"] > 0
    assert shop.violations() == []


def test_every_task_has_its_share_of_the_time_and_what_others_left_of_theirs() -> None:
    now = 0.0
    shares = Shares(lambda: 40.0 - now, tasks=4)
    first = shares.next_share()
    assert first() == 10.0
    now = 12.0  # two seconds too late
    assert first() == -2.0
    second = shares.next_share()
    assert second() == pytest.approx(28 / 3)
    third = shares.next_share()
    assert third() == 14.0, "the second took nothing"
    last = shares.next_share()
    assert last() == 28.0
    with pytest.raises(ValueError, match="no such task"):
        shares.next_share()
