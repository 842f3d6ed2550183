"""What the bus delivers to the sender of mails, and what becomes of it."""

from typing import Any

from holdfast.flows.notifications.deliver_message import Result
from holdfast.flows.notifications.notify_shopper import notify_shopper
from holdfast.flows.notifications.resume_messages import resume_messages
from tests.house import House


def events(house: House, *topics: str, order_id: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Return the outbox events of these topics, about this order, as the bus delivers them."""
    rows = house.rows(
        "SELECT id, topic, payload FROM operations.outbox WHERE organization_id = :o ORDER BY id",
        o=house.organization_id,
    )
    return [
        (row["topic"], row["payload"] | {"id": str(row["id"]), "organization_id": str(house.organization_id)})
        for row in rows
        if (not topics or row["topic"] in topics) and order_id in (None, row["payload"].get("order_id"))
    ]


def notify(house: House, *topics: str, order_id: str | None = None) -> list[Result | None]:
    """Deliver these events as the bus does, oldest first, a millisecond apart."""
    results = []
    for topic, event in events(house, *topics, order_id=order_id):
        house.clock.advance(milliseconds=1)
        results.append(notify_shopper(house.system, topic, event, house.clock))
    return results


def resume(house: House) -> dict[str, int]:
    """Run one tick of the sender."""
    return {str(status): n for status, n in resume_messages(house.system, house.clock, lambda: 60.0).items()}


def messages(house: House, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of mails, oldest first."""
    rows = house.rows(
        "SELECT * FROM notifications.messages WHERE organization_id = :o ORDER BY id", o=house.organization_id
    )
    return [dict(row) for row in rows if kind in (None, row["kind"])]


def statuses(house: House) -> dict[str, str]:
    """Return the status of each kind of mail."""
    return {row["kind"]: row["status"] for row in messages(house)}
