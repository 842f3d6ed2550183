"""Refunds in a house: the staff who refund, and what several tests ask about it."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer, Claim, fingerprint_of
from holdfast.flows.money.refund_order import RefundOrder, refund_order
from holdfast.payments.model import RefundReason, RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller
from holdfast.web.refund_answers import refund_answer
from tests import shipping
from tests.flows.actions import intents, ordered, staff
from tests.house import House

RESELLABLE = RestockReason.RESELLABLE


def refund_command(
    order_id: str, wanted: Wanted, caller: Caller, key: str | None = None, notes: str | None = None
) -> RefundOrder:
    """Return a refund as the handler would make it."""
    claim = Claim(caller.actor, "refund_order", key or uuid.uuid4().hex, fingerprint_of({"wanted": repr(wanted)}))
    return RefundOrder(caller, claim, order_id, wanted, RefundReason.CUSTOMER_REQUEST, notes)


def run_refund(runtime: Runtime, clock: Callable[[], datetime], command: RefundOrder) -> Answer:
    """Run one invocation of the refund function."""
    return refund_order(runtime, command, clock, refund_answer)


def refund(
    house: House, order_id: str, wanted: Wanted | None = None, *, caller: Caller | None = None, key: str | None = None
) -> dict[str, Any]:
    """Refund an order as staff and return the answer's document.

    Everything that is left is refunded unless ``wanted`` says otherwise.
    """
    command = refund_command(order_id, wanted or Wanted(), caller or staff(house), key)
    answer = run_refund(house.runtime, house.clock, command)
    assert answer.status == 201
    body: dict[str, Any] = json.loads(answer.body)
    return body


def delivered(house: House, items: dict[str, int] | None = None) -> str:
    """Place an order, have it delivered, and return its id."""
    order_id = ordered(house, items)
    shipping.delivered(house, order_id)
    return order_id


def units(
    house: House, order_id: str, quantity: int, reason: RestockReason = RESELLABLE, *, sku: str = "TEE"
) -> Wanted:
    """Ask for this many units of a line."""
    (item,) = [item for item in house.order(order_id)["items"] if item["sku"] == sku]
    return Wanted(items=(WantedItem(UUID(item["id"]), quantity, reason),))


def line(house: House, order_id: str, sku: str = "TEE") -> tuple[int, int]:
    """Return (units, money in minor units) refunded on a line."""
    (item,) = [item for item in house.order(order_id)["items"] if item["sku"] == sku]
    return item["refunded_quantity"], item["refunded_minor"]


def given_back(house: House, order_id: str) -> int:
    """Return the refunded amount that the order shows, in minor units."""
    back: int = house.order(order_id)["amounts"]["refunded_minor"]
    return back


def total(house: House, order_id: str) -> int:
    """Return what the order cost, in minor units."""
    cost: int = house.order(order_id)["amounts"]["total_minor"]
    return cost


def at_gateway(house: House, order_id: str) -> list[tuple[str, int]]:
    """Return (status, amount) of every refund at Stripe, oldest first."""
    (intent,) = intents(house, order_id)
    return [(refund["status"], refund["amount"]) for refund in intent["refunds"]]


def fails_later(house: House, order_id: str, number: int = 0) -> None:
    """Have the bank send a refund back, deliver its webhooks and apply them."""
    (intent,) = intents(house, order_id)
    refund_id = intent["refunds"][number]["id"]
    house.stripe("POST", f"/refunds/{refund_id}/fail")
    told = house.receiver.wait_until(
        lambda received: any(
            event["type"] == "refund.failed" and event["data"]["object"]["id"] == refund_id
            for event in map(json.loads, (delivery.body for delivery in received))
        )
    )
    for delivery in told:
        event = json.loads(delivery.body)
        if event["data"]["object"]["id"] == refund_id and event["type"].startswith("refund."):
            house.deliver(event)
    house.work()


def refunds_at_console(house: House, order_id: str, amount: int) -> dict[str, Any]:
    """Refund by hand at the gateway's console; return the webhook about it, which is not delivered yet."""
    (intent,) = intents(house, order_id)
    answer = house.http.request(
        "POST",
        f"{house.stripe_url}/v1/refunds",
        fields={"payment_intent": intent["id"], "amount": str(amount)},
        headers={"Authorization": f"Bearer {house.api_key}"},
        encode_multipart=False,
    )
    assert answer.status == 200, answer.data
    refund_id = answer.json()["id"]

    def tells(event: dict[str, Any]) -> bool:
        return event["type"] == "refund.created" and event["data"]["object"]["id"] == refund_id

    received = house.receiver.wait_until(lambda found: any(tells(json.loads(d.body)) for d in found))
    return next(event for event in (json.loads(d.body) for d in received) if tells(event))
