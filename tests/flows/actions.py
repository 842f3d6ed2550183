"""What the schedules do in a house, and questions that several flow tests ask of it."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import boto3
import pytest

from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.flows.operations.relay_outbox import relay_outbox
from holdfast.flows.orders.expire_reservations import Expired, expire_reservations
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from tests.house import House, document

Result = TypeVar("Result")


def ordered(house: House, items: Mapping[str, int] | None = None, **how: Any) -> str:
    """Check out and return the order's id, however the payment went."""
    return str(document(house.place(items, **how))["order"]["id"])


def check(house: House) -> int:
    """Have the watchdog ask about the payments that are due."""
    return check_payments(house.system, house.clock)


def resume(house: House) -> int:
    """Have the watchdog go on with money that is owed back."""
    return resume_returns(house.system, house.clock)


def look_after_authorizations(house: House) -> int:
    """Have the watchdog look after held money that is about to expire."""
    return watch_authorizations(house.system, house.clock)


def sweep(house: House) -> int:
    """Have the watchdog announce events that were stored but not processed."""
    return sweep_payment_events(house.system, house.clock())


def expire(house: House, *, time_left_seconds: Callable[[], float] = lambda: 60.0) -> Expired:
    """Run one tick of the reservation expiry."""
    return expire_reservations(house.system, house.clock, time_left_seconds)


def relay(house: House) -> int:
    """Run one tick of the outbox relay."""
    return relay_outbox(house.system, house.clock, lambda: 60.0)


def announced(house: House) -> list[dict[str, Any]]:
    """Return the messages that wait in the queue of payment events, and remove them from it."""
    client = boto3.client("sqs")
    found: list[dict[str, Any]] = []
    while messages := client.receive_message(QueueUrl=house.queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            client.delete_message(QueueUrl=house.queue_url, ReceiptHandle=message["ReceiptHandle"])
    return found


def status(house: House, order_id: str) -> str:
    """Return the status of the order."""
    return str(house.order(order_id)["status"])


def last_payment(house: House, order_id: str) -> dict[str, Any]:
    """Return the order's newest payment attempt, as its customer sees it."""
    payment: dict[str, Any] = house.order(order_id)["payments"][-1]
    return payment


def intents(house: House, order_id: str) -> list[dict[str, Any]]:
    """Return the order's payment intents at Stripe."""
    found: list[dict[str, Any]] = house.stripe("GET", f"/payment_intents?metadata[order_id]={order_id}")
    return found


def authenticate(house: House, order_id: str, *, succeed: bool = True) -> None:
    """Have the shopper pass 3-D Secure, or fail it."""
    (intent,) = [intent for intent in intents(house, order_id) if intent["status"] == "requires_action"]
    house.stripe("POST", f"/payment_intents/{intent['id']}/authenticate", {"succeed": succeed})


def hold_ends(house: House, order_id: str) -> datetime:
    """Return when the order's live holds expire."""
    ends: datetime = house.value(
        "SELECT max(expires_at) FROM inventory.reservations WHERE order_id = :id AND status = 'active'", id=order_id
    )
    return ends


def movements(house: House, kind: str) -> list[int]:
    """Return the signed quantities of all movements of one kind, by warehouse and in order."""
    rows = house.rows(
        "SELECT quantity FROM inventory.stock_movements WHERE organization_id = :o AND type = :kind"
        " ORDER BY warehouse_id, level_version",
        o=house.organization_id,
        kind=kind,
    )
    return [row["quantity"] for row in rows]


def operations(house: House) -> list[tuple[str, str]]:
    """Return (state, reason) of every decision to return money."""
    rows = house.rows(
        "SELECT state, reason FROM orders.order_operations WHERE organization_id = :o ORDER BY created_at, id",
        o=house.organization_id,
    )
    return [(row["state"], row["reason"]) for row in rows]


def topics(house: House, order_id: str) -> list[tuple[int, str]]:
    """Return (sequence, topic) of the order's outbox messages."""
    rows = house.rows(
        "SELECT sequence, topic FROM operations.outbox WHERE aggregate_id = :id ORDER BY sequence", id=order_id
    )
    return [(row["sequence"], row["topic"]) for row in rows]


class Killed(BaseException):
    """Stands for the death of the process."""


def killed_before_the_gateway_was_asked(house: House, **how: Any) -> str:
    """Check out in a process that dies with the order committed and nothing charged; return the order's id."""

    def die(*_: object) -> None:
        raise Killed

    earlier = {row["id"] for row in house.rows("SELECT id FROM orders.orders")}
    house.runtime.__dict__["gateways"] = type("Nobody", (), {"gateway": die})()
    with pytest.raises(Killed):
        house.place(**how)
    del house.runtime.__dict__["gateways"]
    (order_id,) = {row["id"] for row in house.rows("SELECT id FROM orders.orders")} - earlier
    return str(order_id)


def guest(house: House) -> Caller:
    """Return a guest with a session of the shop."""
    guest_id = uuid7(house.clock.now)
    return Caller(house.organization_id, CallerKind.GUEST, f"guest:{guest_id}", None, guest_id)


def staff(house: House, role: str = "manager") -> Caller:
    """Add a member of the shop's staff."""
    user_id = uuid7(house.clock.now)
    house.sql(
        "INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)"
        " VALUES (:id, :subject, :email, 'A Member of Staff', :now)",
        id=user_id,
        subject=f"staff-{user_id.hex}",
        email=f"{user_id.hex}@example.com",
        now=house.clock.now,
    )
    house.sql(
        "INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)"
        " VALUES (:o, :u, :role, :now)",
        o=house.organization_id,
        u=user_id,
        role=role,
        now=house.clock.now,
    )
    return Caller(house.organization_id, CallerKind.STAFF, f"staff-{user_id.hex}")


def at_once(*works: Callable[[], Result]) -> list[Result]:
    """Run all of these in their own threads and return their results, or raise the first error."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]
