"""What goes on in production after a process died: messages come again, schedules tick, shoppers repeat themselves."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import boto3
import pg8000.exceptions

from holdfast.flows.checkout.pay_order import PayOrder
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.money.apply_payment_event import apply_payment_event
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders.expire_reservations import expire_reservations
from holdfast.values.errors import Rejected, RequestInProgress
from tests.house import House

LEASE_OVER_SECONDS: Final = 31
TURNS_SECONDS: Final = (61, 91, 200, 600, 2_000, 3_700, 3_700, 7_300, 7_300)
"""How far the clock is turned, step by step, until all is quiet.

The steps go past the leases of events and returns, the first checks of a payment, the end of a hold and its grace
period, and the age at which an unpaid order is cancelled.
"""
TIME_LEFT_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 10.0

_WAITING: Final = """
    SELECT (SELECT count(*) FROM orders.orders
             WHERE status IN ('pending_payment', 'payment_processing', 'payment_failed'))
         + (SELECT count(*) FROM payments.payments WHERE status IN ('pending', 'processing', 'requires_action'))
         + (SELECT count(*) FROM orders.order_operations WHERE state = 'running')
         + (SELECT count(*) FROM payments.payment_events WHERE state IN ('pending', 'retry_scheduled'))
         + (SELECT count(*) FROM payments.dead_letters WHERE status = 'auto_replay_scheduled')
         + (SELECT count(*) FROM operations.outbox WHERE published_at IS NULL)
         + (SELECT count(*) FROM inventory.reservations WHERE status = 'active')
"""


class Production:
    """The schedules, the queue of payment events and the shoppers of one house."""

    def __init__(self, house: House) -> None:
        self.house = house
        sqs = boto3.client("sqs")
        self.bell_url: str = sqs.create_queue(QueueName=f"bell-{uuid.uuid4().hex}")["QueueUrl"]
        self._sqs: Any = sqs
        self._delivered = 0

    # --- what comes by itself ---------------------------------------------------------------------------------------

    def minute(self) -> None:
        """Let every schedule tick once and the worker take what is in its queue."""
        house = self.house
        sweep_payment_events(house.system, house.clock())
        self.work_off_queue()
        check_payments(house.system, house.clock)
        resume_returns(house.system, house.clock)
        watch_authorizations(house.system, house.clock)
        auto_replay(house.system, house.clock)
        alert_dead_letters(house.system, house.clock)
        expire_reservations(house.system, house.clock, lambda: TIME_LEFT_SECONDS)
        relay_outbox(house.system, house.clock, lambda: TIME_LEFT_SECONDS)

    def work_off_queue(self) -> None:
        """Run the worker of payment events over the events that were announced."""
        url = self.house.queue_url
        while messages := self._sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                body = json.loads(message["Body"])
                apply_payment_event(
                    self.house.runtime,
                    UUID(body["organization_id"]),
                    UUID(body["payment_event_id"]),
                    self.house.clock,
                )
                self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def until_quiet(self) -> None:
        """Turn the clock and let the schedules tick until nothing waits, or for about seven hours."""
        for seconds in TURNS_SECONDS:
            self.minute()
            if not self.house.value(_WAITING):
                return
            self.house.clock.advance(seconds=seconds)
        self.minute()

    def webhooks_arrive(self) -> None:
        """Deliver everything that the gateway has sent and that was not delivered yet, late and all at once."""
        received = self.house.receiver.received
        for delivery in received[self._delivered :]:
            self.house.deliver(json.loads(delivery.body))
        self._delivered = len(received)
        self.work_off_queue()

    def until_the_database_answers(self) -> None:
        """Wait until PostgreSQL has recovered, as all of production does by failing and trying again."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.house.owner.execute("SELECT 1")
            except (pg8000.exceptions.Error, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)  # there is nothing to wait on: the server is down
            else:
                break
        self.house.engine.dispose()

    # --- what shoppers ask ------------------------------------------------------------------------------------------

    def pay_command(self, order_id: str, token: str = "pm_card_visa") -> PayOrder:
        """Return another try at paying, with an idempotency key of its own."""
        customer = self.house.customer
        claim = Claim(customer.actor, "pay_order", uuid.uuid4().hex, fingerprint_of({"token": token}))
        return PayOrder(customer, claim, order_id, "stripe", token)

    def orders(self) -> list[Mapping[str, Any]]:
        """Return every order of the house with its status and total."""
        return list(
            self.house.rows(
                "SELECT id::text, status, total FROM orders.orders WHERE organization_id = :o ORDER BY id",
                o=self.house.organization_id,
            )
        )


def asked_again(request: Callable[[], object]) -> Callable[[], None]:
    """Return a function that repeats a request, as a client does whose connection broke.

    A clear refusal is an answer too. A server that is still busy with the dead process's last statement answers "in
    progress" until it is done.
    """

    def ask() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                request()
            except RequestInProgress:
                assert time.monotonic() < deadline, "the key never became free"
                time.sleep(0.02)  # a client's Retry-After, shortened
            except Rejected:
                return
            else:
                return

    return ask
