"""Captures that a gateway names: each is a fact of its own, by the gateway's id, as refunds and disputes are.

A gateway either names its captures (PayPal, Adyen) or reports one cumulative figure of a single capture (Stripe,
Square); what the figure counts is not known by name, so the two are never added. A capture has up to three kinds of
news: asked for, succeeded, failed. Success and failure are dated by the gateway, and of both the later one holds; of a
tie the failure, for under one name it follows the success and their dates may be whole seconds. So a capture that fell
through days later takes back itself and no other, and one that the gateway repeats after that stands again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFact:
    """One capture at the gateway; the amount in minor units of the payment's currency."""

    gateway_capture_id: str
    amount_minor: int
    is_final: bool = False
    """Whether it is the last: with its success the rest of the held money is let go."""
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it ever did, whatever came later."""
        return self.succeeded_at is not None

    @property
    def stands(self) -> bool:
        """Whether its money is with the shop."""
        return self.succeeded_at is not None and (self.failed_at is None or self.failed_at < self.succeeded_at)

    @property
    def is_pending(self) -> bool:
        """Whether it was asked for, and the gateway has not decided."""
        return self.succeeded_at is None and self.failed_at is None

    @property
    def status(self) -> str:
        """``pending``, ``succeeded`` or ``failed``."""
        return "pending" if self.is_pending else "succeeded" if self.stands else "failed"


Captures = tuple[CaptureFact, ...]
"""Sorted by the gateway's id, one for each."""


def merge(one: Captures, other: Captures) -> Captures:
    """The least captures that contain both."""
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
    """What was taken and did not fall through."""
    return sum(capture.amount_minor for capture in captures if capture.stands)


def succeeded_minor(captures: Iterable[CaptureFact]) -> int:
    """What was taken at some time."""
    return sum(capture.amount_minor for capture in captures if capture.succeeded)


def to_json(capture: CaptureFact) -> dict[str, Any]:
    """The capture as JSON values; its status for whoever reads the document, for it follows from the rest."""
    return {
        "gateway_capture_id": capture.gateway_capture_id,
        "amount_minor": capture.amount_minor,
        "is_final": capture.is_final,
        "succeeded_at": capture.succeeded_at and capture.succeeded_at.isoformat(),
        "failed_at": capture.failed_at and capture.failed_at.isoformat(),
        "status": capture.status,
    }


def from_json(document: Mapping[str, Any]) -> CaptureFact:
    """The capture that ``to_json`` wrote. Raises KeyError or ValueError for anything else."""
    return CaptureFact(
        gateway_capture_id=document["gateway_capture_id"],
        amount_minor=document["amount_minor"],
        is_final=document["is_final"],
        succeeded_at=_instant(document["succeeded_at"]),
        failed_at=_instant(document["failed_at"]),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
