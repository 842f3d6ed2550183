"""Captures that a gateway identifies: each is a fact of its own under the gateway's id, like refunds and disputes.

A gateway either identifies its captures (PayPal, Adyen) or reports one cumulative figure of a single capture (Stripe,
Square). It is not known which captures such a figure counts, so the two are never added. There are up to three kinds of
news about a capture: requested, succeeded, failed. The gateway dates success and failure, and the later of the two
holds. In a tie the failure holds, because under one id it follows the success, and the dates may be in whole seconds.
So a capture that falls through days later takes back itself and no other, and one that the gateway repeats after that
stands again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.values.instants import instant_from


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFact:
    """One capture at the gateway. The amount is in minor units of the payment's currency."""

    gateway_capture_id: str
    amount_minor: int
    is_final: bool = False
    """Whether it is the final capture: with its success the rest of the held money is released."""
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it ever succeeded, whatever came later."""
        return self.succeeded_at is not None

    @property
    def stands(self) -> bool:
        """Whether its money is with the shop."""
        return self.succeeded_at is not None and (self.failed_at is None or self.failed_at < self.succeeded_at)

    @property
    def is_pending(self) -> bool:
        """Whether it was requested and the gateway has not decided."""
        return self.succeeded_at is None and self.failed_at is None

    @property
    def status(self) -> str:
        """``pending``, ``succeeded`` or ``failed``."""
        return "pending" if self.is_pending else "succeeded" if self.stands else "failed"


Captures = tuple[CaptureFact, ...]
"""Sorted by the gateway's id, one for each id."""


def merge(one: Captures, other: Captures) -> Captures:
    """Return the least set of captures that contains both."""
    merged: dict[str, CaptureFact] = {}
    for capture in (*one, *other):
        known = merged.get(capture.gateway_capture_id, capture)
        merged[capture.gateway_capture_id] = CaptureFact(
            gateway_capture_id=capture.gateway_capture_id,
            amount_minor=max(known.amount_minor, capture.amount_minor),
            is_final=known.is_final or capture.is_final,
            succeeded_at=_later(known.succeeded_at, capture.succeeded_at),
            failed_at=_later(known.failed_at, capture.failed_at),
        )
    return tuple(merged[gateway_capture_id] for gateway_capture_id in sorted(merged))


def standing_minor(captures: Iterable[CaptureFact]) -> int:
    """Return the sum of the captures that stand: taken and not fallen through."""
    return sum(capture.amount_minor for capture in captures if capture.stands)


def succeeded_minor(captures: Iterable[CaptureFact]) -> int:
    """Return the sum of the captures that ever succeeded."""
    return sum(capture.amount_minor for capture in captures if capture.succeeded)


def to_json(capture: CaptureFact) -> dict[str, Any]:
    """Return the capture as JSON values.

    The status follows from the rest and is included for whoever reads the document.
    """
    return {
        "gateway_capture_id": capture.gateway_capture_id,
        "amount_minor": capture.amount_minor,
        "is_final": capture.is_final,
        "succeeded_at": capture.succeeded_at and capture.succeeded_at.isoformat(),
        "failed_at": capture.failed_at and capture.failed_at.isoformat(),
        "status": capture.status,
    }


def from_json(document: Mapping[str, Any]) -> CaptureFact:
    """Return the capture that ``to_json`` wrote. Raises KeyError or ValueError for anything else."""
    return CaptureFact(
        gateway_capture_id=document["gateway_capture_id"],
        amount_minor=document["amount_minor"],
        is_final=document["is_final"],
        succeeded_at=instant_from(document["succeeded_at"]),
        failed_at=instant_from(document["failed_at"]),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
