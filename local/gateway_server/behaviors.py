"""What a server was commanded to do to the next calls: delays, lost answers, declines, odd webhooks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from local.gateway_server.courier import Manner
from local.gateway_server.model import Json, misunderstood, new_id

FAULTS: Final = ("timeout_before", "timeout_after")
_HOLD_MAX_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a call that a command can select by."""

    operation: str
    """Resource and verb, such as ``payments.create``."""
    account: str
    tokens: frozenset[str] = frozenset()
    """Payment methods that the call names, or that its payment was made with."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The metadata of the call and of its payment."""
    payment: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls are meant. Every given condition has to match; without any, every call is meant."""

    operation: str | None = None
    """A name without a dot (``refunds``) means all of its operations."""
    token: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    payment: str | None = None
    account: str | None = None

    def fits(self, facts: Facts) -> bool:
        """Return whether a call is meant."""
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
    """One command. ``times`` counts down; with None it lasts until it is deleted."""

    id: str
    match: Match
    times: int | None = 1
    delay_seconds: float = 0.0
    """The call is executed this many seconds later. Its idempotency key is taken meanwhile."""
    fault: str | None = None
    """``timeout_before``: never executed. ``timeout_after``: executed and stored. Neither is answered."""
    hold_seconds: float = 0.0
    """How many seconds a fault keeps the caller waiting before the connection drops."""
    http_status: int | None = None
    """The status to answer instead. Unless ``execute`` is set, nothing is executed and no key remembers the answer."""
    execute: bool = False
    retry_after_seconds: int | None = None
    decline_code: str | None = None
    refund_fate: str | None = None
    """``fails_later``, ``pending_first`` or ``succeeds``."""
    refund_delay_seconds: float | None = None
    """Seconds until a refund meets its fate. None means the server's usual delay."""
    webhooks: Manner | None = None
    used: int = 0


class Behaviors:
    """The commands in force, oldest first. The first one that matches a call is taken."""

    def __init__(self) -> None:
        self.active: dict[str, Behavior] = {}

    def command(self, given: Json) -> Behavior:
        """Put a command into force. Raises ``Refusal`` if it cannot be understood."""
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
        """Return the command for this call and count its use. Return one that changes nothing if there is none."""
        for behavior in self.active.values():
            if behavior.match.fits(facts):
                behavior.used += 1
                if behavior.times is not None and behavior.used >= behavior.times:
                    del self.active[behavior.id]
                return behavior
        return Behavior("none", Match())


def behavior_json(behavior: Behavior) -> dict[str, Any]:
    """Return a command as JSON."""
    return asdict(behavior)
