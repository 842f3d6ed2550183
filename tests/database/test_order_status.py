"""The history is the source of truth: it is checked as it is written, and nothing else writes an order's status."""

import threading
from collections.abc import Iterator

import pytest
from pg8000.native import Connection

from tests.database.acting import APP, INSUFFICIENT_PRIVILEGE, SYSTEM, acting, as_role, connected, refusal
from tests.database.conftest import TwoShops

ROW = """
    INSERT INTO orders.order_status_history
        (organization_id, order_id, sequence, from_status, to_status, is_reversal, changed_by, created_at)
    VALUES (:o, :id, CAST(:sequence AS integer), :from_, :to, :reversal, 'test', now())
"""
ORDER = """
    INSERT INTO orders.orders (organization_id, id, order_number, customer_id, email, status, status_sequence,
        status_changed_at, currency, subtotal, tax, shipping, total, shipping_preference, shipping_address,
        billing_address, created_at)
    SELECT organization_id, gen_random_uuid(), gen_random_uuid(), customer_id, email, :status,
           CAST(:sequence AS integer), now(), currency, subtotal, tax, shipping, total, shipping_preference,
           shipping_address, billing_address, now()
      FROM orders.orders WHERE id = :id
    RETURNING id
"""


class Order:
    """An order that is just being placed, in a transaction that will be rolled back."""

    def __init__(self, connection: Connection, shops: TwoShops) -> None:
        self.connection = connection
        self.organization_id = shops.a.organization_id
        [[self.id]] = connection.run(ORDER, id=shops.a.order_id, status="pending_payment", sequence=1)
        self.write(1, None, "pending_payment")

    def write(self, sequence: int, from_: str | None, to: str, *, reversal: bool = False) -> None:
        values = {"sequence": sequence, "from_": from_, "to": to, "reversal": reversal}
        self.connection.run(ROW, o=self.organization_id, id=self.id, **values)

    def refuses(self, sequence: int, from_: str | None, to: str, *, reversal: bool = False) -> tuple[str, str] | None:
        values = {"sequence": sequence, "from_": from_, "to": to, "reversal": reversal}
        return refusal(self.connection, ROW, o=self.organization_id, id=self.id, **values)

    def walk(self, *path: str) -> None:
        [[status, sequence]] = self.connection.run(
            "SELECT status, status_sequence FROM orders.orders WHERE id = :id", id=self.id
        )
        for to in path:
            sequence += 1
            self.write(sequence, status, to)
            status = to

    @property
    def state(self) -> tuple[str, int]:
        rows = self.connection.run("SELECT status, status_sequence FROM orders.orders WHERE id = :id", id=self.id)
        return rows[0][0], rows[0][1]


@pytest.fixture
def order(shops: TwoShops) -> Iterator[Order]:
    with acting(shops.superuser, APP, shops.a.organization_id) as connection:
        yield Order(connection, shops)


def test_a_listed_transition_moves_the_order_in_the_same_statement(order: Order) -> None:
    order.walk("payment_processing", "payment_confirmed", "confirmed")
    assert order.state == ("confirmed", 4)


def test_the_system_walks_an_order_too(shops: TwoShops) -> None:
    shop = shops.a
    with acting(shops.superuser, SYSTEM, shop.organization_id) as connection:
        values = {"sequence": 2, "from_": "confirmed", "to": "processing", "reversal": False}
        [[sequence]] = connection.run("SELECT status_sequence FROM orders.orders WHERE id = :id", id=shop.order_id)
        connection.run(ROW, o=shop.organization_id, id=shop.order_id, **values | {"sequence": sequence + 1})
        [[status]] = connection.run("SELECT status FROM orders.orders WHERE id = :id", id=shop.order_id)
    assert status == "processing"


def test_a_transition_that_is_not_listed_is_refused(order: Order) -> None:
    assert order.refuses(2, "pending_payment", "confirmed") == ("HF002", "order_status_transition")


def test_a_skipped_sequence_is_refused(order: Order) -> None:
    assert order.refuses(3, "pending_payment", "payment_processing") == ("HF001", "order_status_projection")


def test_a_sequence_that_was_used_is_refused(order: Order) -> None:
    order.walk("payment_processing")
    found = order.refuses(2, "payment_processing", "payment_confirmed")
    assert found is not None
    assert found[0] in ("23505", "HF001")


def test_a_stale_origin_is_refused(order: Order) -> None:
    order.walk("payment_failed")
    assert order.refuses(3, "pending_payment", "cancelled") == ("HF001", "order_status_projection")


def test_a_first_row_that_is_not_its_orders_is_refused(order: Order, shops: TwoShops) -> None:
    [[other]] = order.connection.run(ORDER, id=shops.a.order_id, status="pending_acceptance", sequence=1)
    order.id = other
    assert order.refuses(1, None, "pending_payment") == ("HF002", "order_status_projection")
    assert order.refuses(1, None, "confirmed") == ("HF002", "order_status_transition")
    assert order.refuses(1, None, "pending_acceptance") is None


def test_an_order_of_another_tenant_is_out_of_reach_of_the_projection(shops: TwoShops) -> None:
    """The trigger runs with its owner's rights, so the policy of the history row has to refuse first."""
    with acting(shops.superuser, APP, shops.b.organization_id) as connection:
        values = {"sequence": 2, "from_": "confirmed", "to": "cancelled", "reversal": False}
        theirs = refusal(connection, ROW, o=shops.a.organization_id, id=shops.a.order_id, **values)
        assert theirs is not None
        assert theirs[0] == INSUFFICIENT_PRIVILEGE
        as_ours = refusal(connection, ROW, o=shops.b.organization_id, id=shops.a.order_id, **values)
        assert as_ours == ("HF001", "order_status_projection")


@pytest.mark.parametrize(("status", "sequence"), [("confirmed", 1), ("pending_payment", 2), ("cancelled", 1)])
def test_an_order_is_not_inserted_further_along(shops: TwoShops, status: str, sequence: int) -> None:
    with acting(shops.superuser, APP, shops.a.organization_id) as connection:
        found = refusal(connection, ORDER, id=shops.a.order_id, status=status, sequence=sequence)
    assert found is not None
    assert found[0] == INSUFFICIENT_PRIVILEGE


def test_a_refund_that_failed_goes_back_to_the_status_before_it_and_nowhere_else(order: Order) -> None:
    order.walk("payment_processing", "payment_confirmed", "confirmed", "processing", "refunded")
    assert order.refuses(7, "refunded", "processing") == ("HF002", "order_status_transition")
    assert order.refuses(7, "refunded", "shipped", reversal=True) == ("HF002", "order_status_transition")
    assert order.refuses(7, "refunded", "confirmed", reversal=True) == ("HF002", "order_status_transition")
    order.write(7, "refunded", "processing", reversal=True)
    assert order.state == ("processing", 7)


def test_a_reversal_takes_back_a_refund_only(order: Order) -> None:
    order.walk("payment_processing", "payment_failed")
    found = order.refuses(4, "payment_failed", "payment_processing", reversal=True)
    assert found == ("23514", "order_status_history_reversal_takes_back_a_refund")


def test_milestones_are_kept_with_the_status(order: Order) -> None:
    order.walk("payment_processing", "payment_confirmed", "confirmed", "processing", "shipped", "delivered")
    [milestones] = order.connection.run(
        "SELECT paid_at IS NOT NULL, confirmed_at IS NOT NULL, shipped_at IS NOT NULL, delivered_at IS NOT NULL,"
        " cancelled_at IS NULL FROM orders.orders WHERE id = :id",
        id=order.id,
    )
    assert milestones == [True] * 5


def test_of_two_who_move_an_order_at_once_the_second_is_told(shops: TwoShops) -> None:
    shop = shops.a
    outcomes: list[tuple[str, str] | None] = []
    with connected(as_role(shops.superuser, APP)) as first, connected(as_role(shops.superuser, APP)) as second:
        for connection in (first, second):
            connection.run("BEGIN")
            connection.run("SELECT set_config('holdfast.organization_id', :t, true)", t=str(shop.organization_id))
        [[order_id, sequence]] = first.run(
            "SELECT id, status_sequence FROM orders.orders WHERE status = 'payment_failed' ORDER BY id LIMIT 1"
        )
        values = {"o": shop.organization_id, "id": order_id, "from_": "payment_failed", "reversal": False}
        first.run(ROW, **values, sequence=sequence + 1, to="cancelled")

        def move() -> None:
            outcomes.append(refusal(second, ROW, **values, sequence=sequence + 1, to="pending_payment"))

        waiting = threading.Thread(target=move)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive(), "the second waits for the first to decide"
        first.run("COMMIT")
        waiting.join(10)
    assert outcomes[0] is not None
    assert outcomes[0][0] in ("23505", "HF001")
