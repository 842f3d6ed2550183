"""When the money of an order is taken: at checkout, or when its goods leave. Pure.

The policy is a setting of the organization (``capture_policy``). What is not taken at checkout is held, and a hold
runs out: what has to happen before that is decided here too.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

SAFETY_SECONDS: Final = 24 * 3600
"""How long before an authorization ends its money has to be taken, or a person has to know that it is not."""
TRYING_SECONDS: Final = 14 * 3600
"""How long before that the trying begins: every attempt at a capture fits in here, the last one's failure too."""
BEFORE_EXPIRY: Final = timedelta(seconds=SAFETY_SECONDS + TRYING_SECONDS)


class CapturePolicy(StrEnum):
    """When the money is taken."""

    AT_ONCE = "at_once"
    AT_FIRST_SHIPMENT = "at_first_shipment"
    PER_SHIPMENT = "per_shipment"


class Remedy(StrEnum):
    """What is done about an authorization that is about to run out."""

    CAPTURE = "capture"
    RENEW = "renew"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A shipment that is about to leave. ``worth_minor`` is its part of what the shopper pays."""

    worth_minor: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Share:
    """How much to capture now. ``is_final``: no other capture follows, and what is left over is released."""

    amount_minor: int
    is_final: bool


NOTHING: Final = Share(0, is_final=False)


def policy_of(setting: str | None) -> CapturePolicy:
    """The policy that an organization's setting names; without one the money is taken at once.

    A word that is none of the three holds the money: held money can still be taken, taken money costs to give back.
    """
    if setting is None:
        return CapturePolicy.AT_ONCE
    try:
        return CapturePolicy(setting)
    except ValueError:
        return CapturePolicy.AT_FIRST_SHIPMENT


def share_of_shipment(
    policy: CapturePolicy,
    leaving: Leaving,
    *,
    owed_minor: int,
    captured_minor: int,
    multiple_captures: bool,
    step_minor: int = 1,
) -> Share:
    """How much of the held money a shipment takes with it.

    ``owed_minor`` is what all goods of the order cost, those that were taken off it left out; ``captured_minor`` what
    was taken before. A gateway without ``multiple_captures`` releases with its one capture what that leaves, so that
    all is taken with the first shipment. The last shipment takes what is left to the last unit of rounding.

    ``step_minor`` is what the gateway takes multiples of. What a share is over that goes with a later one, so that the
    last has it; only where goods were taken off the order is there something that nobody can take.
    """
    left_minor = owed_minor - captured_minor
    left_minor -= left_minor % step_minor
    if left_minor <= 0:
        return NOTHING
    if not multiple_captures:
        return NOTHING if captured_minor else Share(left_minor, is_final=True)
    if policy is not CapturePolicy.PER_SHIPMENT or leaving.is_last:
        return Share(left_minor, is_final=True)
    amount_minor = min(leaving.worth_minor, left_minor)
    amount_minor -= amount_minor % step_minor
    return Share(amount_minor, is_final=amount_minor == left_minor) if amount_minor > 0 else NOTHING


def remedy_before_expiry(policy: CapturePolicy, *, can_renew: bool) -> Remedy:
    """What to do with held money of a live order before it is gone: hold it anew where the shop wants to take it with
    its shipments and the gateway can, else take it."""
    waits_for_goods = policy is not CapturePolicy.AT_ONCE
    return Remedy.RENEW if waits_for_goods and can_renew else Remedy.CAPTURE
