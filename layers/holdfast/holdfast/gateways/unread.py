"""Events that are proven to be the gateway's, have a name, and are not as we know them.

They are taken all the same, as what their name says and in ``NO_CURRENCY``, which no payment is in: nothing can come of
that but a dead letter, where a person sees the payload. To refuse them would lose them, once the gateway tires of it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.gateways.fields import UNREADABLE
from holdfast.values.payment_events import EventType

NO_CURRENCY: Final = "XXX"
"""ISO 4217's code for no currency at all."""

Said = tuple[datetime, dict[str, Any]]


def read_or_keep(
    read: Callable[[], Said], now: datetime, kind: EventType | None, payment_id_of: Callable[[], UUID | None]
) -> Said:
    """What ``read`` says, and when it happened. Of what it cannot read: that it is of ``kind``, and of which payment if
    that can be read; dated ``now``, which is when it came."""
    try:
        return read()
    except UNREADABLE:
        return now, {"event_type": kind, "payment_id": _or_none(payment_id_of), "currency": NO_CURRENCY}


def _or_none(payment_id_of: Callable[[], UUID | None]) -> UUID | None:
    try:
        return payment_id_of()
    except UNREADABLE:
        return None
