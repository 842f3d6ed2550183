"""What the money watchdog cannot do for one payment or one shop stops no other, and a person hears of it."""

from holdfast.flows.money import watch_money as flow
from holdfast.values.ids import uuid7
from tests.flows.actions import intents, ordered
from tests.flows.test_capture_payment import hold_money
from tests.flows.test_money_report import (
    _shelf,  # noqa: F401 -- a fixture
    on_the_next_day,
    open_differences,
    stripe_call,
    totals,
    watch,
)
from tests.house import House


def told(house: House) -> dict[str, str]:
    """Return what the inbox says about differences of money: details by the id of what they are about."""
    rows = house.rows(
        "SELECT related_id, details FROM operations.process_failures WHERE process_name = 'MoneyDifference'"
        " AND status = 'open'"
    )
    return {str(row["related_id"]): row["details"] for row in rows}


def payment_of(house: House, order_id: str) -> str:
    return str(house.value("SELECT id FROM payments.payments WHERE order_id = :id", id=order_id))


def captured_more_than_it_is(house: House) -> str:
    """Return an order of whose payment the gateway captured more than the payment's amount."""
    hold_money(house)
    order_id = ordered(house)
    (intent,) = intents(house, order_id)
    stripe_call(house, f"payment_intents/{intent['id']}/capture")
    # As if somebody had captured more at the gateway, where that is possible.
    house.forge(
        "UPDATE payments.payments SET amount = amount - 100, capturable_amount = capturable_amount - 100,"
        " facts = jsonb_set(facts, '{amount_minor}', to_jsonb(amount - 100)) WHERE order_id = :id",
        id=order_id,
    )
    house.clock.advance(seconds=1)
    return order_id


def test_a_payment_whose_answer_cannot_be_recorded_goes_to_a_person_and_the_others_are_compared(house: House) -> None:
    poisoned = captured_more_than_it_is(house)
    ordered(house), ordered(house)
    on_the_next_day(house)
    assert watch(house).asked == 2
    assert house.value("SELECT finished_at IS NOT NULL FROM payments.money_sweeps")
    (details,) = (told(house)[payment_of(house, poisoned)],)
    assert "was not compared" in details
    assert "InvalidInput" in details
    assert (totals(house)["asked"], watch(house).failed) == (2, 0)


def test_one_that_is_alone_on_its_day_goes_to_a_person_a_day_later(house: House) -> None:
    poisoned = captured_more_than_it_is(house)
    on_the_next_day(house)
    watch(house)
    assert told(house) == {}
    house.clock.advance(days=1)
    watch(house)
    assert list(told(house)) == [payment_of(house, poisoned)]


def test_a_difference_that_cannot_be_compared_again_keeps_no_other_open(house: House) -> None:
    hold_money(house)
    orders = [ordered(house) for _ in range(2)]
    missing = [intents(house, order_id)[0]["id"] for order_id in orders]
    house.forge("UPDATE payments.payments SET gateway_transaction_id = 'pi_nobody_' || right(order_id::text, 12)")
    on_the_next_day(house)
    assert watch(house).differences == 2
    for order_id, intent_id in zip(orders, missing, strict=True):
        house.sql(
            "UPDATE payments.payments SET gateway_transaction_id = :intent WHERE order_id = :id",
            intent=intent_id,
            id=order_id,
        )
    house.sql('UPDATE payments.payments SET facts = \'{"of": "nobody"}\' WHERE order_id = :id', id=orders[0])
    house.clock.advance(hours=1)
    done = watch(house)
    assert (done.failed, [kind for kind, _ in open_differences(house)]) == (0, ["gateway_unknown"])
    assert list(told(house)) == [payment_of(house, orders[0])]


def test_money_that_cannot_be_given_back_goes_to_a_person_and_the_rest_goes_on(house: House) -> None:
    orders = [ordered(house) for _ in range(2)]
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=503, times=2)
    for order_id in orders:
        house.cancel(order_id)
    house.sql("DELETE FROM orders.order_operations")
    house.sql("DELETE FROM payments.refunds")
    house.forge("UPDATE payments.payments SET refunding_amount = 0")
    house.sql('UPDATE payments.payments SET facts = \'{"of": "nobody"}\' WHERE order_id = :id', id=orders[0])
    house.clock.advance(hours=2)
    assert watch(house).failed == 0
    assert list(told(house)) == [payment_of(house, orders[0])]
    assert house.order(orders[1])["payments"][-1]["status"] == "refunded"


def other_shop(house: House) -> None:
    house.sql(
        "INSERT INTO tenancy.organizations (id, name, slug, publishable_key, settings, created_at)"
        " VALUES (:id, 'Other', 'other-shop', 'pk_00000000000000000000', '{}', now())",
        id=uuid7(house.clock()),
    )


def disputed(house: House) -> None:
    (intent,) = intents(house, ordered(house))
    house.stripe("POST", f"/payment_intents/{intent['id']}/dispute")
    for event in house.webhooks("charge.dispute.created"):
        house.deliver(event)
    house.work()
    house.clock.advance(days=5)


def close_the_books(house: House) -> None:
    """Let no organization's day be added up any more."""
    house.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'The books are closed' USING ERRCODE = '23514', CONSTRAINT = 'books_closed'; END $$"
    )
    house.sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON payments.money_sweeps FOR EACH ROW"
        f" WHEN (NEW.organization_id = '{house.organization_id}') EXECUTE FUNCTION public.refuse()"
    )


def test_an_organization_that_fails_keeps_no_other_waiting_and_its_disputes_and_differences_count(house: House) -> None:
    other_shop(house)
    disputed(house)
    house.forge("UPDATE payments.payments SET status = 'failed'")
    close_the_books(house)
    done = watch(house)
    assert (done.organizations, done.failed) == (1, 1)
    assert (done.differences, done.disputes_due_soon) == (1, 1)


def test_what_waits_is_counted_though_a_run_has_no_time(house: House) -> None:
    disputed(house)
    house.forge("UPDATE payments.payments SET status = 'failed'")
    watch(house)
    done = flow.watch_money(house.system, house.clock, lambda: 0.0)
    assert (done.organizations, done.differences, done.disputes_due_soon) == (0, 1, 1)
