"""Whether everything came to a good end, judged by the database and the gateway, over all orders there are."""

from typing import Final

from tests.faults.production import Production

_LIMBO: Final = {
    "an order waits for ever": """
        SELECT id::text, status FROM orders.orders
         WHERE status NOT IN ('confirmed', 'processing', 'partially_shipped', 'shipped', 'cancelled', 'refunded')
    """,
    "a payment is open": """
        SELECT order_id::text, status, facts FROM payments.payments
         WHERE status IN ('pending', 'processing', 'requires_action')
    """,
    "an order that is over keeps a hold": """
        SELECT order_id::text FROM inventory.reservations WHERE status = 'active'
    """,
    "money owed back was not returned": """
        SELECT order_id::text, state, last_error FROM orders.order_operations WHERE state <> 'done'
    """,
    "a refund is under way": """
        SELECT order_id::text, status FROM payments.refunds WHERE status NOT IN ('succeeded', 'failed')
    """,
    "an event is in limbo": """
        SELECT gateway_event_id, event_type, state, attempts, last_error FROM payments.payment_events
         WHERE state NOT IN ('processed', 'ignored')
    """,
    "a committed event was not published": """
        SELECT topic, aggregate_id::text FROM operations.outbox WHERE published_at IS NULL
    """,
}


class Verdict:
    """Remembers what it has reported, so that each point is blamed only for what it caused."""

    def __init__(self, production: Production, expected_failures: frozenset[str] = frozenset()) -> None:
        self._production = production
        self._expected_failures = expected_failures
        self._said: set[str] = set()

    def news(self) -> list[str]:
        """Return what is wrong and was not wrong before."""
        wrong = [*self._production.house.violations(), *self._limbo(), *self._money(), *self._failures()]
        fresh = [sentence for sentence in wrong if sentence not in self._said]
        self._said.update(fresh)
        return fresh

    def _limbo(self) -> list[str]:
        house = self._production.house
        return [f"{name}: {dict(row)}" for name, query in _LIMBO.items() for row in house.rows(query)]

    def _money(self) -> list[str]:
        """Compare what the gateway captured and refunded with what each order says."""
        house = self._production.house
        totals = house.stripe("GET", f"/totals?by=order_id&account={house.api_key}")["by"]
        wrong = []
        for order in self._production.orders():
            money = totals.pop(order["id"], {"charges_captured": 0, "captured": 0, "refunded": 0, "held": 0})
            kept = money["captured"] - money["refunded"]
            stands = order["status"] not in ("cancelled", "refunded")
            owed = order["total"] if stands else 0
            if order["status"] == "processing" and (kept, money["held"]) == (0, owed):
                continue  # it is being packed, and nobody has said yet that it leaves
            if (kept, money["held"]) != (owed, 0):
                wrong.append(f"an order that is {order['status']} over {order['total']} has {money} at the gateway")
            if stands and money["charges_captured"] != 1:
                wrong.append(f"an order that is {order['status']} was charged {money['charges_captured']} times")
        wrong.extend(f"money of an order that does not exist: {money}" for money in totals.values())
        return wrong

    def _failures(self) -> list[str]:
        unexpected = set(self._production.house.failures()) - self._expected_failures
        return [f"a person was called for {name}" for name in sorted(unexpected)]
