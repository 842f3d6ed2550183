"""Events that are proven to come from the gateway and have a name, but do not have the form that we know.

They are accepted all the same, as what their name says and in ``NO_CURRENCY``, a currency that no payment has. They can
therefore only become dead letters, where a person sees the payload. If they were refused, they would be lost as soon as
the gateway stopped retrying.
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
    """Return when the event happened and what it says, as ``read`` gives them.

    If ``read`` cannot read it, return the time of its arrival, ``now``, and just ``kind`` and the id of its payment, if
    that much can be read.
    """
    try:
        return read()
    except UNREADABLE:
        return now, {"event_type": kind, "payment_id": _or_none(payment_id_of), "currency": NO_CURRENCY}


def _or_none(payment_id_of: Callable[[], UUID | None]) -> UUID | None:
    try:
        return payment_id_of()
    except UNREADABLE:
        return None
