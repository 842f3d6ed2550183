"""The life of a shipment. The table ``shipment_transitions`` holds the same rows. Pure.

    pending -> picked -> packed -> shipped -> in_transit -> delivered
        \\         \\        \\         \\            \\
         cancelled  cancelled cancelled failed       failed

Steps may be skipped forward: a small shop packs without having said that it picked, or ships what it never said it
packed; not every carrier tells that a parcel is in transit. Only what has left can fail, and what has left is not
cancelled any more.
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
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""Every status with the ones that may follow it."""

NOT_LEFT: Final = frozenset({_S.PENDING, _S.PICKED, _S.PACKED})
"""Still in its warehouse."""


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
