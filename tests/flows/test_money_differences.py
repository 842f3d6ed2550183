"""An open difference of money ends with its cause, or with a person: no age and no number ends it."""

import pytest

from holdfast.flows.money import look_for_differences
from tests.flows.actions import ordered
from tests.flows.test_money_report import _shelf, days_later, open_differences, watch  # noqa: F401 -- a fixture
from tests.flows.test_money_troubles import payment_of, told
from tests.house import House


def kept(house: House, count: int = 1) -> list[str]:
    """Return orders that are cancelled, whose money is still here, and whose return was given up."""
    house.stripe_behaves(match={"operation": "refunds.create"}, http_status=402, times=None)
    orders = [ordered(house) for _ in range(count)]
    for order_id in orders:
        house.cancel(order_id)
    house.sql("UPDATE orders.order_operations SET state = 'failed', finished_at = now()")
    house.sql("UPDATE payments.refunds SET status = 'failed'")
    house.sql("UPDATE payments.payments SET refunding_amount = 0")
    house.clock.advance(hours=2)
    return orders


def test_money_that_is_still_here_is_a_difference_however_old_it_gets(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    before = open_differences(house)
    assert [kind for kind, _ in before] == ["captured_without_live_order"]
    days_later(house, look_for_differences.WINDOW_DAYS + 1)
    assert watch(house).differences == 1
    assert open_differences(house) == before
    assert list(told(house)) == [payment_of(house, order_id)]


def test_more_differences_than_one_look_takes_on_close_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_for_differences, "FOUND_MAX_ROWS", 1)
    orders = kept(house, 3)
    for expected in (1, 2, 3, 3):
        assert watch(house).differences == expected
        house.clock.advance(hours=1)
    assert sorted(told(house)) == sorted(payment_of(house, order_id) for order_id in orders)


def test_a_difference_that_is_gone_after_its_window_is_closed(house: House) -> None:
    (order_id,) = kept(house)
    watch(house)
    days_later(house, look_for_differences.WINDOW_DAYS + 1)
    house.sql("UPDATE payments.payments SET refunded_amount = captured_amount WHERE order_id = :id", id=order_id)
    assert watch(house).differences == 0
    assert told(house) == {}
