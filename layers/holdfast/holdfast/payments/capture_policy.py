"""When the money of an order is captured: at checkout, or when its goods leave. Pure.

The policy is a setting of the organization (``capture_policy``). What is not captured at checkout is held, and an
authorization expires; what has to happen before that is decided here too.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

SAFETY_SECONDS: Final = 24 * 3600
"""How long before an authorization ends its money must be captured, or a person told that it is not, in seconds."""
TRYING_SECONDS: Final = 14 * 3600
"""How long before that the attempts begin, in seconds: every attempt fits in, including the failure of the last."""
BEFORE_EXPIRY: Final = timedelta(seconds=SAFETY_SECONDS + TRYING_SECONDS)


class CapturePolicy(StrEnum):
    """When the money is captured."""

    AT_ONCE = "at_once"
    AT_FIRST_SHIPMENT = "at_first_shipment"
    PER_SHIPMENT = "per_shipment"


class Remedy(StrEnum):
    """What to do about an authorization that is about to expire."""

    CAPTURE = "capture"
    RENEW = "renew"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A shipment that is about to leave. ``worth_minor`` is its part of what the shopper pays."""

    worth_minor: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Share:
    """How much to capture now. With ``is_final`` no other capture follows, and what is left is released."""

    amount_minor: int
    is_final: bool


NOTHING: Final = Share(0, is_final=False)


def policy_of(setting: str | None) -> CapturePolicy:
    """Return the policy that an organization's setting names; without a setting money is captured at once.

    An unknown word means that the money is held: held money can still be captured, but captured money costs to give
    back.
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
    """Return how much of the held money to capture when a shipment leaves.

    ``owed_minor`` is what all goods of the order cost, without those that were taken off it; ``captured_minor`` is what
    was captured before. A gateway without ``multiple_captures`` releases with its only capture whatever that leaves, so
    everything is captured with the first shipment. The last shipment takes what is left, including all rounding.

    Captures must be multiples of ``step_minor``. The part of a share that is not a whole step goes with a later share,
    so the last one has it. Only if goods were taken off the order can there be a remainder that nobody can capture.
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
    """Return what to do with held money of a live order before its authorization expires.

    It is renewed if the shop wants to capture it with its shipments and the gateway can renew; otherwise it is
    captured.
    """
    waits_for_goods = policy is not CapturePolicy.AT_ONCE
    return Remedy.RENEW if waits_for_goods and can_renew else Remedy.CAPTURE
