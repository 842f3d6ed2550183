"""What a server was told to do to the next calls: delays, lost answers, declines, odd webhooks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from local.gateway_server.courier import Manner
from local.gateway_server.model import Json, misunderstood, new_id

FAULTS: Final = ("timeout_before", "timeout_after")
_HOLD_MAX_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a command can be aimed at in a call."""

    operation: str
    """Resource and verb, such as ``payments.create``."""
    account: str
    tokens: frozenset[str] = frozenset()
    """Payment methods that the call names, or that the payment it is about was made with."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the call and of the payment it is about."""
    payment: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls are meant. Everything given has to fit; nothing given means every call."""

    operation: str | None = None
    """A name without a dot (``refunds``) means all of its operations."""
    token: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment: str | None = None
    account: str | None = None

    def fits(self, facts: Facts) -> bool:
        """Whether a call is meant."""
        resource = facts.operation.partition(".")[0]
        return (
            self.operation in {None, "", facts.operation, resource}
            and (self.token is None or self.token in facts.tokens)
            and self.payment in {None, facts.payment}
            and self.account in {None, facts.account}
            and self.metadata.items() <= facts.metadata.items()
        )


@dataclass(slots=True)
class Behavior:
    """One command. ``times`` counts down; None lasts until it is deleted."""

    id: str
    match: Match
    times: int | None = 1
    delay_seconds: float = 0.0
    """Executes this much later. The idempotency key is taken meanwhile."""
    fault: str | None = None
    """``timeout_before``: never executed. ``timeout_after``: executed and stored. Neither is answered."""
    hold_seconds: float = 0.0
    """How long a fault leaves the caller waiting before the connection drops."""
    http_status: int | None = None
    """Answered instead; not executed, and no key remembers it, unless ``execute``."""
    execute: bool = False
    retry_after_seconds: int | None = None
    decline_code: str | None = None
    refund_fate: str | None = None
    """``fails_later``, ``pending_first`` or ``succeeds``."""
    refund_delay_seconds: float | None = None
    """When a refund meets its fate; None: after the server's usual delay."""
    webhooks: Manner | None = None
    used: int = 0


class Behaviors:
    """The commands in force, oldest first; the first that fits a call is taken."""

    def __init__(self) -> None:
        self.active: dict[str, Behavior] = {}

    def command(self, given: Json) -> Behavior:
        """Put a command into force. Raises ``Refusal`` if it is not understood."""
        try:
            fields = dict(given)
            match, webhooks = fields.pop("match", {}), fields.pop("webhooks", None)
            if isinstance(webhooks, dict) and "only" in webhooks:
                webhooks = {**webhooks, "only": tuple(webhooks["only"])}
            behavior = Behavior(
                id=new_id("bh"),
                match=Match(**match),
                webhooks=Manner(**webhooks) if webhooks is not None else None,
                **fields,
            )
        except TypeError as error:
            raise misunderstood(f"Not a behavior: {error}") from None
        if behavior.fault not in {None, *FAULTS}:
            raise misunderstood(f"fault is one of {', '.join(FAULTS)}")
        if behavior.hold_seconds > _HOLD_MAX_SECONDS:
            raise misunderstood(f"hold_seconds is at most {_HOLD_MAX_SECONDS}")
        self.active[behavior.id] = behavior
        return behavior

    def take(self, facts: Facts) -> Behavior:
        """The command for this call, used up accordingly; one that changes nothing if there is none."""
        for behavior in self.active.values():
            if behavior.match.fits(facts):
                behavior.used += 1
                if behavior.times is not None and behavior.used >= behavior.times:
                    del self.active[behavior.id]
                return behavior
        return Behavior("none", Match())


def behavior_json(behavior: Behavior) -> dict[str, Any]:
    """A command as it is shown."""
    return asdict(behavior)
