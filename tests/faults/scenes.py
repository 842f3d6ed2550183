"""The situations in which steps are killed."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.review_link import LinkUsed
from holdfast.flows.addresses.answer_review import AnswerReview
from holdfast.flows.addresses.work_reviews import ReviewRequest
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.money.capture_order import CaptureOrder
from holdfast.flows.orders.cancel_order import CancelOrder
from holdfast.values.caller import Caller
from prove import steps
from tests.faults.gauntlet import Scene
from tests.faults.production import Production, asked_again
from tests.faults.steps import answer_link, correct_address, watch_addresses
from tests.flows import moving
from tests.flows.reviewing import TO_RENO, in_review, review, token
from tests.flows.reviewing import steps as review_steps
from tests.gateways.receiver import Received
from tests.house import House, document
from tests.shipping import only, pack, ship_command, shipments

HOLD_AND_GRACE_SECONDS: Final = 1_800 + 900 + 60
_numbers: Iterator[int] = itertools.count(1)


def fresh_sku(house: House, stock: int) -> str:
    """Add something to sell that no other scene touches, and return its SKU."""
    sku = f"ITEM-{next(_numbers)}"
    house.add_variant(sku, stock=stock)
    return sku


def pay_unheard(house: House, items: dict[str, int]) -> tuple[str, dict[str, Any]]:
    """Place an order whose money the gateway took, though its answer was lost.

    Return its id and the webhook about it, which is not delivered yet.
    """
    house.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id: str = document(house.place(items))["order"]["id"]
    return order_id, webhook_of(house, order_id, "payment_intent.succeeded")


def webhook_of(house: House, order_id: str, event_type: str) -> dict[str, Any]:
    """Return the webhook of this type about this order, once it has arrived."""

    def about_it(received: Received) -> bool:
        event = json.loads(received.body)
        metadata = event["data"]["object"].get("metadata") or {}
        return event["type"] == event_type and metadata.get("order_id") == order_id

    arrived = house.receiver.wait_until(lambda received: any(map(about_it, received)))
    event: dict[str, Any] = json.loads(next(filter(about_it, arrived)).body)
    return event


def stored_event(house: House, webhook: dict[str, Any]) -> UUID:
    """Deliver a webhook, and return the id of the event that it became."""
    house.deliver(webhook)
    event_id: UUID = house.value("SELECT id FROM payments.payment_events WHERE gateway_event_id = :g", g=webhook["id"])
    return event_id


def ends(house: House, order_id: str, *statuses: str) -> list[str]:
    """Return the complaint when the order did not end in one of these statuses."""
    status = house.order(order_id)["status"]
    return [] if status in statuses else [f"the order ended {status}, not {' or '.join(statuses)}"]


def checkout(house: House, *, returns: bool) -> Scene:
    """A shopper sends the same request again, at once or hours later, and must always get the same answer."""
    command = house.command({"TEE": 2})

    def the_same_answer_twice() -> list[str]:
        first, second = (steps.place(house.runtime, house.clock, command) for _ in range(2))
        return [] if first == second else ["the same key was answered differently"]

    again = the_same_answer_twice if returns else None
    return Scene(steps.place, (command,), again=again, check=the_same_answer_twice)


def event_of_a_payment(house: House) -> Scene:
    """The money came in time, and only the worker hears of it."""
    order_id, webhook = pay_unheard(house, {"TEE": 2})
    event_id = stored_event(house, webhook)
    return Scene(steps.apply, (house.organization_id, event_id), check=lambda: ends(house, order_id, "confirmed"))


def event_of_a_late_payment(house: House, *, is_sold: bool) -> Scene:
    """The event came when the hold was gone; with ``is_sold``, the last unit is gone too."""
    sku = fresh_sku(house, 1)
    order_id, webhook = pay_unheard(house, {sku: 1})
    house.clock.advance(seconds=HOLD_AND_GRACE_SECONDS)
    steps.expire(house.system, house.clock)
    if is_sold:
        house.place({sku: 1})
    event_id = stored_event(house, webhook)
    ending = "cancelled" if is_sold else "confirmed"
    return Scene(steps.apply, (house.organization_id, event_id), check=lambda: ends(house, order_id, ending))


def cancellation_of_a_paid_order(house: House, *, repeats: bool) -> Scene:
    """An order is sold and paid, and its shopper cancels it."""
    order_id = document(house.place({"TEE": 2}))["order"]["id"]
    claim = Claim(house.customer.actor, "cancel_order", f"cancel-{order_id}", fingerprint_of({"order": order_id}))
    command = CancelOrder(house.customer, claim, order_id)
    again = asked_again(lambda: steps.cancel(house.runtime, house.clock, command))
    return Scene(
        steps.cancel,
        (command,),
        again=again if repeats else None,
        check=lambda: ends(house, order_id, "cancelled", *(() if repeats else ("confirmed",))),
    )


def capture_by_hand(house: House, caller: Caller) -> Scene:
    """Staff capture the held money of a confirmed order, and ask again when no answer came."""
    order_id = document(house.place({"TEE": 2}))["order"]["id"]
    claim = Claim(caller.actor, "capture_order", f"capture-{order_id}", fingerprint_of({"order": order_id}))
    command = CaptureOrder(caller, claim, order_id)
    return Scene(
        steps.capture,
        (command,),
        again=asked_again(lambda: steps.capture(house.runtime, house.clock, command)),
        check=lambda: ends(house, order_id, "confirmed"),
    )


def parcel_about_to_leave(house: House, caller: Caller, *, pieces: int | None = None, returns: bool = True) -> Scene:
    """Staff ship a packed parcel of an order whose money is held.

    With ``pieces``, only that many leave. Staff ask again when no answer came, or leave the rest to the watchdog.
    """
    order_id = document(house.place({"TEE": 4}))["order"]["id"]
    packed = pack(house, only(house, order_id))
    items = None if pieces is None else {"TEE": pieces}
    command = ship_command(house, packed, caller=caller, items=items, key=f"ship-{order_id}")

    def check() -> list[str]:
        parcels = [(one["status"], one["items"][0]["quantity"]) for one in shipments(house, order_id)]
        statuses = sorted(status for status, _ in parcels)
        wrong = [] if sum(count for _, count in parcels) == 4 else [f"the order is in these parcels: {parcels}"]
        never_began = statuses == ["packed"] and house.order(order_id)["payment_status"] == "authorized"
        if not returns and never_began:
            return wrong
        whole = pieces is None
        wrong += [] if statuses == (["shipped"] if whole else ["pending", "shipped"]) else [f"it ended {parcels}"]
        return [*wrong, *ends(house, order_id, "shipped" if whole else "partially_shipped")]

    again = asked_again(lambda: steps.ship(house.runtime, house.clock, command))
    return Scene(steps.ship, (command,), again=again if returns else None, check=check)


def correction_by_link(house: House) -> Scene:
    """A shopper corrects an address by the link in the mail, and clicks again if no answer came; the goods move."""
    order_id = in_review(house, address=replace(moving.NEWARK, postal_code="07999"))
    said = AnswerReview(token(house, order_id), TO_RENO, False)

    def click_again() -> None:
        with contextlib.suppress(LinkUsed):
            answer_link(house.runtime, house.clock, said)

    return Scene(
        answer_link,
        (said,),
        again=click_again,
        check=lambda: [*ends(house, order_id, "confirmed"), *taken(house, order_id, ["begun", "corrected"])],
    )


def correction_by_staff(house: House, caller: Caller) -> Scene:
    """Staff correct an address, and ask again under the same key when no answer came."""
    order_id = in_review(house)
    claim = Claim(caller.actor, "correct_address_review", f"correct-{order_id}", fingerprint_of({"order": order_id}))
    arguments = (ReviewRequest(caller, claim, review(house, order_id)["id"], 1), TO_RENO.on)
    return Scene(
        correct_address,
        arguments,
        again=asked_again(lambda: correct_address(house.runtime, house.clock, *arguments)),
        check=lambda: [*ends(house, order_id, "confirmed"), *taken(house, order_id, ["begun", "corrected"])],
    )


def deadline_of_a_review(house: House) -> Scene:
    """Nobody settled the address, and its deadline has passed."""
    order_id = in_review(house)
    house.clock.now = review(house, order_id)["deadline_at"]
    return Scene(
        watch_addresses,
        as_system=True,
        again=lambda: watch_addresses(house.system, house.clock),
        check=lambda: [*ends(house, order_id, "cancelled"), *taken(house, order_id, ["begun", "expired"])],
    )


def reminder_of_a_review(house: House) -> Scene:
    """Half of the time is over, and the shopper answers once they are reminded."""
    order_id = in_review(house)
    house.clock.now = review(house, order_id)["reminder_at"]

    def remind_and_answer() -> None:
        # Wait until the dead process's session has let go of the review, which the schedule would otherwise skip.
        house.value("SELECT id FROM addresses.reviews WHERE order_id = :id FOR UPDATE", id=order_id)
        watch_addresses(house.system, house.clock)
        answer_link(house.runtime, house.clock, AnswerReview(token(house, order_id), None, True))

    return Scene(
        watch_addresses,
        as_system=True,
        again=remind_and_answer,
        check=lambda: taken(house, order_id, ["begun", "reminded", "resolved"]),
    )


def taken(house: House, order_id: str, wanted: list[str]) -> list[str]:
    """Return the complaint when the steps of the order's review are not these."""
    found = review_steps(house, order_id)
    return [] if found == wanted else [f"the steps of the review were {found}, not {wanted}"]


def authorization_about_to_end(house: House) -> Scene:
    """The money of a confirmed order is held, and nobody captured it until the last but one day of its window."""
    order_id = document(house.place({"TEE": 2}))["order"]["id"]
    house.clock.now = house.value(
        "SELECT authorization_expires_at - interval '30 hours' FROM payments.payments WHERE order_id = :id", id=order_id
    )
    return Scene(steps.watch, as_system=True, check=lambda: ends(house, order_id, "confirmed"))


def paying_again(production: Production, *, first: str, repeats: bool, is_late: bool = False) -> Scene:
    """The first attempt, with the card ``first``, came to nothing, or to nothing yet.

    With ``is_late``, its hold has expired.
    """
    house = production.house
    order_id = document(house.place({"TEE": 2}, token=first))["order"]["id"]
    if is_late:
        house.clock.advance(seconds=HOLD_AND_GRACE_SECONDS)
        steps.expire(house.system, house.clock)
    command = production.pay_command(order_id)
    again = asked_again(lambda: steps.pay(house.runtime, house.clock, command))
    return Scene(
        steps.pay,
        (command,),
        again=again if repeats else None,
        check=lambda: ends(house, order_id, "confirmed", *(() if repeats else ("cancelled",))),
    )


def expiry_with_work(house: House) -> Scene:
    """Holds that expired, of an order declined a while ago and of one that nobody will pay any more."""
    declined = "pm_card_chargeDeclined"
    abandoned = document(house.place({"TEE": 2}, token=declined))["order"]["id"]
    house.clock.advance(seconds=2 * 3_600)
    waiting = document(house.place({"TEE": 3}, token=declined))["order"]["id"]
    house.clock.advance(seconds=1_000)
    return Scene(
        steps.expire,
        as_system=True,
        check=lambda: [*ends(house, abandoned, "cancelled"), *ends(house, waiting, "cancelled")],
    )


def webhook_on_its_way(house: House, *, repeats: bool) -> Scene:
    """The gateway reports a payment whose answer was lost; with ``repeats``, again when it is not heard."""
    order_id, webhook = pay_unheard(house, {"TEE": 2})
    headers, body = house.signed(webhook, house.clock())
    return Scene(
        steps.receive,
        (house.endpoint_key, headers, body),
        again=(lambda: house.deliver(webhook)) if repeats else None,
        check=lambda: ends(house, order_id, "confirmed"),
    )


def watchdog_with_work(house: House) -> Scene:
    """A payment that nobody heard of, an event whose message was lost, and a refund that failed at the first try."""
    unheard, _ = pay_unheard(house, {"TEE": 1})
    stored, webhook = pay_unheard(house, {"TEE": 1})
    stored_event(house, webhook)
    returned = document(house.place({"TEE": 1}))["order"]["id"]
    house.stripe_behaves(match={"operation": "refunds.create"}, fault="timeout_before")
    house.cancel(returned)
    house.clock.advance(seconds=120)
    return Scene(
        steps.watch,
        as_system=True,
        check=lambda: [
            *ends(house, unheard, "confirmed"),
            *ends(house, stored, "confirmed"),
            *ends(house, returned, "cancelled"),
        ],
    )
