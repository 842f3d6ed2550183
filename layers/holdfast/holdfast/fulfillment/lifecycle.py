"""The life of a shipment. The table ``shipment_transitions`` holds the same rows. Pure.

    pending -> picked -> packed -> shipped -> in_transit -> delivered
        \\         \\        \\         \\            \\
         cancelled  cancelled cancelled failed       failed

Steps forward may be skipped: a small shop may pack without recording that it picked, or ship without recording that it
packed, and not every carrier reports that a parcel is in transit. Only what has left can fail, and what has left can no
longer be cancelled. A failed one that arrives after all is delivered, unless it was sent again.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from holdfast.values.errors import TransitionRefused
from holdfast.values.shipping import ShipmentStatus

_S = ShipmentStatus

TRANSITIONS: Final[Mapping[ShipmentStatus, frozenset[ShipmentStatus]]] = {
    _S.PENDING: frozenset({_S.PICKED, _S.PACKED, _S.SHIPPED, _S.CANCELLED}),
    _S.PICKED: frozenset({_S.PACKED, _S.SHIPPED, _S.CANCELLED}),
    _S.PACKED: frozenset({_S.SHIPPED, _S.CANCELLED}),
    _S.SHIPPED: frozenset({_S.IN_TRANSIT, _S.DELIVERED, _S.FAILED}),
    _S.IN_TRANSIT: frozenset({_S.DELIVERED, _S.FAILED}),
    _S.DELIVERED: frozenset(),
    _S.FAILED: frozenset({_S.DELIVERED}),
    _S.CANCELLED: frozenset(),
}
"""Every status with those that may follow it."""

NOT_LEFT: Final = frozenset({_S.PENDING, _S.PICKED, _S.PACKED})
"""The statuses of a shipment that is still in its warehouse."""


class FailureReason(StrEnum):
    """Why a shipment that left did not arrive."""

    LOST = "lost"
    RETURNED_TO_SENDER = "returned_to_sender"
    DAMAGED = "damaged"


def check_step(current: ShipmentStatus, to: ShipmentStatus) -> None:
    """Raise TransitionRefused, with the current status and the allowed ones, unless ``to`` may follow ``current``."""
    if to not in TRANSITIONS[current]:
        raise TransitionRefused(
            f"a shipment that is {current} cannot become {to}",
            current=current.value,
            allowed=sorted(status.value for status in TRANSITIONS[current]),
        )
