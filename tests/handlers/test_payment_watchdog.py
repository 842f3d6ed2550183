"""The payment watchdog as a function: none of its tasks keeps another from its work."""

import pytest

from tests.flows.actions import Killed, announced, killed_before_the_gateway_was_asked
from tests.handlers.door import Door


@pytest.fixture
def shop(door: Door) -> Door:
    """Return a door into a house that sells a tee."""
    door.house.add_variant(stock=10)
    return door


def test_what_is_stored_is_announced_before_any_gateway_can_take_the_time(shop: Door) -> None:
    shop.send(shop.sample("payment_webhooks/stripe_payment_intent_succeeded"))
    killed_before_the_gateway_was_asked(shop.house)
    shop.house.sql("UPDATE payments.payments SET next_check_at = now() - interval '1 hour'")
    shop.house.sql("UPDATE payments.payment_events SET next_attempt_at = now() - interval '1 hour'")
    announced(shop.house)

    def die(*_: object) -> None:
        raise Killed

    shop.house.system.__dict__["gateways"] = type("Slow", (), {"gateway": die, "wiring": die})()
    with pytest.raises(Killed):
        shop.invoke("payment_watchdog", shop.sample("payment_watchdog/tick"))
    assert len(announced(shop.house)) == 1


def test_a_queue_that_takes_nothing_stops_no_other_task_of_the_watchdog(shop: Door) -> None:
    shop.send(shop.sample("payment_webhooks/stripe_payment_intent_succeeded"))
    order_id = killed_before_the_gateway_was_asked(shop.house)
    shop.house.sql("UPDATE payments.payments SET next_check_at = now() - interval '1 hour'")
    shop.house.sql("UPDATE payments.payment_events SET next_attempt_at = now() - interval '1 hour'")

    def refuse(*_: object) -> None:
        raise ConnectionError("no queue")

    queue = shop.house.system.payment_events_queue
    shop.house.system.__dict__["payment_events_queue"] = type("Queue", (), {"send_all": refuse})()
    with pytest.raises(ConnectionError):
        shop.invoke("payment_watchdog", shop.sample("payment_watchdog/tick"))
    shop.house.system.__dict__["payment_events_queue"] = queue
    assert shop.house.value("SELECT checks FROM payments.payments WHERE order_id = :id", id=order_id) == 1
