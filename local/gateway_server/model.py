"""What every gateway's server remembers, whichever vendor it stands for. Times are Unix seconds."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

Json = dict[str, Any]

ALPHABET: Final = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """Return a random id behind a prefix and an underscore."""
    return prefix + "_" + random_text(length)


def random_text(length: int, alphabet: str = ALPHABET) -> str:
    """Return this many random characters."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


class Refusal(Exception):
    """An error answer. ``stored``: an idempotency key keeps it, as it does once a call was executed."""

    def __init__(self, status: int, body: Json, *, stored: bool = False) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.stored = stored


def misunderstood(message: str, *, status: int = 400) -> Refusal:
    """Return the refusal of a request to the control surface that is no command."""
    return Refusal(status, {"error": {"type": "invalid_request_error", "message": message}})


class Payment(Protocol):
    """The parts of a vendor's payment that the control surface needs."""

    id: str
    account: str
    metadata: dict[str, str]


@dataclass(slots=True)
class Event:
    """Something that happened. ``body`` is what every delivery of it carries, if any endpoint wanted it."""

    id: str
    account: str
    type: str
    created: int
    object_id: str
    payment: str
    body: str | None = None


@dataclass(slots=True)
class Endpoint:
    """A webhook endpoint. Its account is one of the vendor's, or ``*`` for the events of all accounts."""

    id: str
    account: str
    url: str
    secret: str
    enabled_events: list[str]
    created: int
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    def wants(self, account: str, event_type: str) -> bool:
        """Whether an event of this account and type goes to the endpoint."""
        return self.account in {"*", account} and (event_type in self.enabled_events or "*" in self.enabled_events)


@dataclass(slots=True)
class StoredAnswer:
    """What an idempotency key stands for. Without a body, the first request is still being executed."""

    fingerprint: str
    created: float
    request_id: str
    status: int = 0
    body: str | None = None
