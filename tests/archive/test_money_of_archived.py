"""Orders that are archived before their money was looked at once more keep nobody from looking at the rest."""

from datetime import timedelta
from uuid import UUID

from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.money.watch_money import watch_money
from holdfast.payments.refund_plan import Wanted
from tests.archive.scenes import archive, delivered, plenty, put_away, years_pass
from tests.flows.actions import last_payment, ordered
from tests.house import House
from tests.refunding import refund


def watch(house: House, *, days_later: int) -> None:
    """Run the watchdog at noon of a later day, and see that it looked after the shop."""
    house.clock.now = house.clock.now.replace(hour=12, minute=0, second=0) + timedelta(days=days_later)
    assert watch_money(house.system, house.clock, plenty).organizations == 1


def test_a_refund_whose_order_is_archived_before_its_day_is_over_stops_no_comparison(house: House) -> None:
    [order_id] = delivered(house)
    refund(house, order_id, Wanted(amount_minor=100))
    house.work()
    years_pass(house)
    put_away(house)
    restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a refund")
    house.clock.now = house.clock.now.replace(hour=9)
    refund(house, order_id, Wanted(amount_minor=200))
    house.work()
    other = ordered(house)
    day = house.clock().date()
    assert archive(house).orders == 1
    watch(house, days_later=1)
    assert house.value("SELECT finished_at IS NOT NULL FROM payments.money_sweeps WHERE day = :day", day=day) is True
    asked = "SELECT asked_captured FROM payments.money_report_daily WHERE day = :day"
    assert house.value(asked, day=day) == last_payment(house, other)["captured_minor"]
    watch(house, days_later=7)


def test_a_difference_that_only_the_gateway_resolves_ends_with_its_order_in_the_archive(house: House) -> None:
    [order_id] = delivered(house)
    payment_id = UUID(last_payment(house, order_id)["id"])
    years_pass(house)
    put_away(house)
    house.sql(
        "INSERT INTO payments.money_differences (organization_id, id, day, kind, subject_id, payment_id, order_id,"
        " ours, amount_at_risk, currency, details, first_seen_at, last_seen_at) VALUES (:o, gen_random_uuid(), :day,"
        " 'gateway_unknown', :payment, :payment, :order_id, 1, 1, 'USD', 'unknown there', :now, :now)",
        o=house.organization_id,
        day=house.clock().date(),
        payment=payment_id,
        order_id=UUID(order_id),
        now=house.clock(),
    )
    watch(house, days_later=1)
    [closed] = house.rows("SELECT status, resolution FROM payments.money_differences")
    assert closed == {"status": "resolved", "resolution": "the order lies in the archive"}
