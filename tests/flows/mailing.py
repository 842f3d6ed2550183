"""What the bus brings to the sender of mails, and what became of it."""

from typing import Any

from holdfast.flows.notifications.deliver_message import Result
from holdfast.flows.notifications.notify_shopper import notify_shopper
from holdfast.flows.notifications.resume_messages import resume_messages
from tests.house import House


def events(house: House, *topics: str, order_id: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What the outbox has of these topics, about this order, as the bus delivers it."""
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
    """The bus delivers them, oldest first, a moment apart."""
    results = []
    for topic, event in events(house, *topics, order_id=order_id):
        house.clock.advance(milliseconds=1)
        results.append(notify_shopper(house.system, topic, event, house.clock))
    return results


def resume(house: House) -> dict[str, int]:
    """A tick of the sender."""
    return {str(status): n for status, n in resume_messages(house.system, house.clock, lambda: 60.0).items()}


def messages(house: House, kind: str | None = None) -> list[dict[str, Any]]:
    """The rows of mails, oldest first."""
    rows = house.rows(
        "SELECT * FROM notifications.messages WHERE organization_id = :o ORDER BY id", o=house.organization_id
    )
    return [dict(row) for row in rows if kind in (None, row["kind"])]


def statuses(house: House) -> dict[str, str]:
    """What became of each kind."""
    return {row["kind"]: row["status"] for row in messages(house)}
