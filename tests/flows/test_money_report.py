"""The money watchdog and its books: each kind of difference is named exactly, and a clean shop has none."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.flows.money.sweep_days import (
    COMMITTED_SECONDS,
    REFUND_LOOK_DAYS,
    SILENCES_MAX,
    SILENT_DAYS_MAX,
    Swept,
    sweep_day,
    sweep_days,
)
from holdfast.flows.money.watch_money import Watched, watch_money
from tests.flows.actions import at_once, intents, killed_before_the_gateway_was_asked, last_payment, ordered, resume
from tests.house import House
from tests.refunding import refund


@pytest.fixture(autouse=True)
def _shelf(house: House) -> None:
    house.add_variant(stock=50)


def watch(house: House) -> Watched:
    return watch_money(house.system, house.clock, lambda: 60.0)


def on_the_next_day(house: House) -> None:
    """Turn the clock to noon of the day after this test's orders. What expires in between has expired."""
    days_later(house, 1)


def days_later(house: House, days: int) -> None:
    """Turn the clock to noon, this many days after this test's orders."""
    house.clock.now = house.clock.now.replace(hour=12, minute=0, second=0) + timedelta(days=days)


def open_differences(house: House) -> list[tuple[str, int]]:
    """Return (kind, amount at risk) of the open differences."""
    rows = house.rows("SELECT kind, amount_at_risk FROM payments.money_differences WHERE status = 'open' ORDER BY kind")
    return [(row["kind"], row["amount_at_risk"]) for row in rows]


def totals(house: House) -> dict[str, Any]:
    (row,) = house.rows("SELECT * FROM payments.money_report_daily")
    return dict(row)


def stripe_call(house: House, path: str, **form: str) -> None:
    answer = house.http.request(
        "POST",
        f"{house.stripe_url}/v1/{path}",
        fields=form,
        headers={"Authorization": f"Bearer {house.api_key}"},
        encode_multipart=False,
    )
    assert answer.status == 200, answer.data


def captured(house: House, order_id: str) -> int:
    return int(last_payment(house, order_id)["captured_minor"])


def test_a_clean_shop_has_no_differences_and_its_books_add_up(house: House) -> None:
    kept, given_back = ordered(house), ordered(house, {"TEE": 2})
    ordered(house, token="pm_card_chargeDeclined")
    house.cancel(given_back)
    amounts = captured(house, kept), captured(house, given_back)
    on_the_next_day(house)
    watch(house)
    assert open_differences(house) == []
    books = totals(house)
    assert (books["orders"], books["orders_total"]) == (1, amounts[0])
    assert (books["captured"], books["refunded"]) == (sum(amounts), amounts[1])
    assert (books["asked_captured"], books["asked_refunded"]) == (sum(amounts), amounts[1])
    assert (books["gateway_captured"], books["gateway_refunded"]) == (sum(amounts), amounts[1])
    assert house.failures() == []
    assert house.violations() == []


def test_a_second_run_asks_nobody_twice_and_changes_nothing(house: House) -> None:
    ordered(house)
    on_the_next_day(house)
    assert watch(house).asked == 1
    before = house.rows("SELECT * FROM payments.money_report_daily"), open_differences(house)
    assert watch(house).asked == 0
    assert (house.rows("SELECT * FROM payments.money_report_daily"), open_differences(house)) == before


def test_money_of_an_order_that_is_over_goes_back_by_itself(house: House) -> None:
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503)
    house.cancel(order_id)
    # As if nobody had ever decided to return the money.
    house.sql("DELETE FROM orders.order_operations")
    house.sql("DELETE FROM payments.refunds")
    house.sql("UPDATE payments.payments SET refunding_amount = 0")
    house.clock.advance(hours=2)
    watch(house)
    assert last_payment(house, order_id)["status"] == "refunded"
    assert open_differences(house) == []
    assert house.violations() == []


def test_money_whose_return_was_given_up_is_named_and_left_to_a_person(house: House) -> None:
    order_id = ordered(house)
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=402, times=20)
    house.cancel(order_id)
    house.sql("UPDATE orders.order_operations SET state = 'failed', finished_at = now()")
    house.sql("UPDATE payments.refunds SET status = 'failed'")
    house.sql("UPDATE payments.payments SET refunding_amount = 0")
    house.clock.advance(hours=2)
    watch(house)
    assert open_differences(house) == [("captured_without_live_order", captured(house, order_id))]
    assert "MoneyDifference" in house.failures()


def test_a_confirmed_order_without_money_is_named(house: House) -> None:
    order_id = ordered(house)
    total = house.order(order_id)["amounts"]["total_minor"]
    house.forge("UPDATE payments.payments SET status = 'failed'")
    house.clock.advance(minutes=5)
    watch(house)
    assert open_differences(house) == [("confirmed_without_money", total)]
    house.sql("UPDATE payments.payments SET status = 'captured'")
    house.clock.advance(hours=1)
    watch(house)
    assert open_differences(house) == []
    assert house.failures() == []


def test_a_refund_that_was_never_heard_of_is_named_until_it_is(house: House) -> None:
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    stripe_call(house, "refunds", payment_intent=intent["id"], amount="700")
    (told,) = [e for e in house.webhooks("refund.created") if e["data"]["object"]["payment_intent"] == intent["id"]]
    on_the_next_day(house)
    watch(house)
    assert open_differences(house) == [("refunded_differs", 700)]
    assert house.failures() == ["MoneyDifference"]
    watch(house)
    assert len(house.rows("SELECT id FROM payments.money_differences")) == 1
    house.deliver(told)
    house.work()
    house.clock.advance(hours=1)
    watch(house)
    assert open_differences(house) == []
    assert house.failures() == []
    assert house.violations() == []


def test_a_capture_that_was_never_heard_of_is_taken_for_true(house: House) -> None:
    house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "first_shipment"}\'')
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    stripe_call(house, f"payment_intents/{intent['id']}/capture")
    on_the_next_day(house)
    watch(house)
    assert last_payment(house, order_id)["status"] == "captured"
    assert open_differences(house) == []
    assert house.violations() == []


def test_money_we_claim_and_the_gateway_does_not_have_is_named(house: House) -> None:
    order_id = ordered(house)
    house.forge("UPDATE payments.payments SET amount = amount + 5, captured_amount = captured_amount + 5")
    on_the_next_day(house)
    watch(house)
    assert open_differences(house) == [("captured_differs", 5)]
    assert order_id


def test_a_payment_the_gateway_does_not_know_is_named(house: House) -> None:
    order_id = ordered(house)
    house.forge("UPDATE payments.payments SET gateway_transaction_id = 'pi_nobody'")
    on_the_next_day(house)
    watch(house)
    assert open_differences(house) == [("gateway_unknown", captured(house, order_id))]


def test_an_event_of_a_payment_nobody_knows_is_named(house: House) -> None:
    order_id = ordered(house)
    (event,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
    stray = {**event, "id": "evt_stray"}
    stray["data"] = {"object": {**event["data"]["object"], "id": "pi_stray", "metadata": {}}}
    house.deliver(stray)
    house.clock.advance(hours=2)
    watch(house)
    assert open_differences(house) == [("unmatched_event", captured(house, order_id))]


def test_what_waits_too_long_and_what_is_about_to_run_out_is_named(house: House) -> None:
    waiting = killed_before_the_gateway_was_asked(house)
    house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "first_shipment"}\'')
    held = ordered(house)
    amounts = [house.order(order_id)["payments"][-1]["amount_minor"] for order_id in (held, waiting)]
    house.sql(
        "UPDATE payments.payments SET authorization_expires_at = :at WHERE status = 'authorized'",
        at=house.clock() + timedelta(days=1, hours=5),
    )
    house.clock.advance(days=1, hours=1)
    watch(house)
    named = [("authorization_expiring", amounts[0]), ("undecided_too_long", amounts[1])]
    assert open_differences(house) == named


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken and never decided", "asked for and given up"])
def test_a_refund_without_an_end_calls_a_person_once_and_is_forgotten_when_it_ends(
    house: House, is_taken: bool
) -> None:
    order_id = ordered(house)
    taken, lost = {"refund_fate": "pending_first", "refund_delay_seconds": 3600}, {"http_status": 500, "execute": True}
    house.stripe_behaves(match={"operation": "refunds.create"}, **(taken if is_taken else lost))
    refund(house, order_id)
    refund_id, amount = house.rows("SELECT id, amount FROM payments.refunds")[0].values()
    for _ in range(9):
        house.clock.advance(days=1)
        resume(house)
    watch(house)
    assert [kind for kind, _ in open_differences(house)] == []
    house.clock.advance(days=1, hours=1)
    watch(house)
    watch(house)
    assert open_differences(house) == [("refund_undecided", amount)]
    told = "SELECT related_id, details FROM operations.process_failures WHERE process_name = 'MoneyDifference'"
    (failure,) = house.rows(told)
    assert (failure["related_id"], str(refund_id) in failure["details"]) == (refund_id, True)
    (made,) = intents(house, order_id)[0]["refunds"]
    if is_taken:
        house.stripe("POST", f"/refunds/{made['id']}/succeed")
    house.deliver(house.webhooks("refund.updated" if is_taken else "refund.created")[0])
    house.work()
    house.clock.advance(hours=1)
    watch(house)
    assert open_differences(house) == []
    assert "MoneyDifference" not in house.failures()
    assert house.violations() == []


def test_a_sweep_goes_on_where_its_time_ran_out_and_counts_nothing_twice(house: House) -> None:
    paid = [captured(house, ordered(house)) for _ in range(3)]
    on_the_next_day(house)
    day = house.clock().date() - timedelta(days=1)
    for expected in (1, 1, 1, 0):
        left = iter([1.0, 1.0])
        asked = sweep_day(house.system, house.organization_id, day, house.clock, lambda left=left: next(left, 0.0))  # type: ignore[misc]
        assert asked == expected
    watch(house)
    assert totals(house)["gateway_captured"] == sum(paid)
    assert house.value("SELECT finished_at IS NOT NULL FROM payments.money_sweeps")


@pytest.mark.parametrize("http_status", [503, 401])
def test_a_gateway_that_is_down_is_not_asked_for_ever_and_the_next_run_goes_on(house: House, http_status: int) -> None:
    for _ in range(SILENCES_MAX + 2):
        ordered(house)
    on_the_next_day(house)
    day = house.clock().date() - timedelta(days=1)
    times = SILENCES_MAX + 1
    house.stripe_behaves(match={"operation": "payment_intents.retrieve"}, http_status=http_status, times=times)
    assert sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0) == 0
    assert sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0) == SILENCES_MAX + 2
    assert house.failures() == []


def test_a_gateway_that_stays_down_leaves_its_payments_to_a_person(house: House) -> None:
    for _ in range(SILENCES_MAX + 2):
        ordered(house)
    days_later(house, 1 + SILENT_DAYS_MAX)
    day = house.clock().date() - timedelta(days=1 + SILENT_DAYS_MAX)
    times = SILENCES_MAX + 1
    house.stripe_behaves(match={"operation": "payment_intents.retrieve"}, http_status=503, times=times)
    assert sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0) == 0
    assert house.failures() == ["MoneyDifference"] * times
    assert sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0) == 1


@pytest.mark.parametrize(("times", "told"), [(1, []), (2, ["MoneyDifference"])])
def test_a_payment_without_an_answer_is_asked_about_again_and_then_left_to_a_person(
    house: House, times: int, told: list[str]
) -> None:
    orders = []
    for _ in range(3):
        orders.append(ordered(house))
        house.clock.advance(seconds=1)
    (intent,) = intents(house, orders[0])
    on_the_next_day(house)
    day = house.clock().date() - timedelta(days=1)
    match = {"operation": "payment_intents.retrieve", "payment": intent["id"]}
    house.stripe_behaves(match=match, http_status=503, times=times)
    assert sweep_day(house.system, house.organization_id, day, house.clock, lambda: 60.0) == 3 - len(told)
    assert house.failures() == told
    assert house.value("SELECT finished_at IS NOT NULL FROM payments.money_sweeps")


def test_a_day_on_which_nothing_ran_is_not_left_out(house: House) -> None:
    """The schedule was away for days, in which a bank sent a refund back and the webhooks about that were lost."""
    order_id = ordered(house, token="pm_card_refundFail")
    amount = captured(house, order_id)
    house.cancel(order_id)
    (intent,) = intents(house, order_id)
    (refund,) = intent["refunds"]
    house.stripe("POST", f"/refunds/{refund['id']}/fail")
    days_later(house, 3)
    house.clock.advance(hours=1)
    assert watch(house).asked == 1
    assert open_differences(house) == [("refunded_differs", amount)]
    assert house.failures() == ["MoneyDifference"]
    days = house.rows("SELECT day, finished_at IS NOT NULL AS is_finished FROM payments.money_sweeps ORDER BY day")
    assert [(house.clock().date() - row["day"]).days for row in days] == [3, 2, 1]
    assert all(row["is_finished"] for row in days)
    assert totals(house)["asked"] == 1


@pytest.mark.parametrize("days", REFUND_LOOK_DAYS)
def test_a_refund_that_comes_back_weeks_later_is_found_though_nobody_told_of_it(house: House, days: int) -> None:
    kept, given_back = ordered(house), ordered(house)
    house.cancel(given_back)
    on_the_next_day(house)
    assert watch(house).asked == 2
    house.clock.advance(days=days - 1)
    watch(house)
    (refund,) = intents(house, given_back)[0]["refunds"]
    house.stripe("POST", f"/refunds/{refund['id']}/fail")
    before = totals(house)
    watch(house)
    assert open_differences(house) == []
    house.clock.advance(days=1)
    watch(house)
    assert open_differences(house) == [("refunded_differs", captured(house, given_back))]
    assert house.failures() == ["MoneyDifference"]
    assert totals(house) == before, "its own day has been added up"
    assert captured(house, kept)


def test_a_day_is_finished_before_the_next_is_begun(house: House) -> None:
    ordered(house), ordered(house)
    first = house.clock().date()
    on_the_next_day(house)
    ordered(house)
    second = house.clock().date()
    house.clock.advance(days=1)
    for left in ([1.0, 1.0], [1.0, 1.0]):
        seconds = iter(left)
        swept = sweep_days(house.system, house.organization_id, house.clock, lambda seconds=seconds: next(seconds, 0.0))  # type: ignore[misc]
        assert swept == Swept(1, (first,))
    assert sweep_days(house.system, house.organization_id, house.clock, lambda: 60.0) == Swept(1, (first, second))
    assert sweep_days(house.system, house.organization_id, house.clock, lambda: 60.0) == Swept(0, ())


def test_a_day_whose_last_news_may_not_be_committed_is_not_finished(house: House) -> None:
    ordered(house)
    midnight = house.clock.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    finished = "SELECT finished_at IS NOT NULL FROM payments.money_sweeps WHERE day = :day"
    house.clock.now = midnight + timedelta(seconds=COMMITTED_SECONDS - 1)
    assert watch(house).asked == 1
    assert not house.value(finished, day=midnight.date() - timedelta(days=1))
    house.clock.advance(seconds=1)
    assert watch(house).asked == 0
    assert house.value(finished, day=midnight.date() - timedelta(days=1))


def test_a_dispute_that_nobody_answers_is_counted_before_it_is_due(house: House) -> None:
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    house.stripe("POST", f"/payment_intents/{intent['id']}/dispute")
    for event in house.webhooks("charge.dispute.created"):
        house.deliver(event)
    house.work()
    assert watch(house).disputes_due_soon == 0
    house.clock.advance(days=5)
    assert watch(house).disputes_due_soon == 1


def test_two_runs_at_once_count_nothing_twice(house: House) -> None:
    paid = [captured(house, ordered(house)) for _ in range(4)]
    on_the_next_day(house)
    at_once(*[lambda: watch(house)] * 3)
    assert totals(house)["gateway_captured"] == sum(paid)
    assert totals(house)["asked"] == len(paid)
    assert open_differences(house) == []
