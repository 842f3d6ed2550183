"""What the server was told to do to the next calls: delays, lost answers, declines, odd webhooks."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from local.stripe_server.errors import invalid_request
from local.stripe_server.forms import Params
from local.stripe_server.model import Intent, new_id
from local.stripe_server.webhooks import Manner

FAULTS: Final = ("timeout_before", "timeout_after")
_HOLD_MAX_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls are meant. Everything given has to fit; nothing given means every call."""

    operation: str | None = None
    """``payment_intents.create``, ``.confirm``, ``.capture``, ``.cancel``, ``.retrieve``, ``refunds.create`` ...
    A name without a dot (``refunds``) means all of its operations."""
    token: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """Of the call, or of the intent it is about."""
    intent: str | None = None
    account: str | None = None

    def fits(self, operation: str, account: str, params: Params, intent: Intent | None) -> bool:
        """Whether a call is meant."""
        if self.operation and self.operation not in {operation, operation.partition(".")[0]}:
            return False
        if self.token and self.token not in {params.get("payment_method"), intent and intent.card_token}:
            return False
        if (self.intent and (intent is None or intent.id != self.intent)) or (self.account or account) != account:
            return False
        own = params.get("metadata")
        known = {**(intent.metadata if intent else {}), **(own if isinstance(own, dict) else {})}
        return self.metadata.items() <= known.items()


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

    def command(self, given: dict[str, Any]) -> Behavior:
        """Put a command into force. Raises ``StripeError`` if it is not understood."""
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
            raise invalid_request(f"Not a behavior: {error}") from None
        if behavior.fault not in {None, *FAULTS}:
            raise invalid_request(f"fault is one of {', '.join(FAULTS)}", param="fault")
        if behavior.hold_seconds > _HOLD_MAX_SECONDS:
            raise invalid_request(f"hold_seconds is at most {_HOLD_MAX_SECONDS}", param="hold_seconds")
        self.active[behavior.id] = behavior
        return behavior

    def take(self, operation: str, account: str, params: Params, intent: Intent | None) -> Behavior | None:
        """The command for this call, if there is one; it is used up accordingly."""
        for behavior in self.active.values():
            if behavior.match.fits(operation, account, params, intent):
                behavior.used += 1
                if behavior.times is not None and behavior.used >= behavior.times:
                    del self.active[behavior.id]
                return behavior
        return None


def behavior_json(behavior: Behavior) -> dict[str, Any]:
    """A command as it is shown."""
    return asdict(behavior)
