"""The port of mail services: one mail in, one of a closed set of outcomes out. It never raises for what a service says.

``Sent`` is the only outcome that proves anything. Of the others only ``Rejected`` is about this very mail and final:
the same mail would be rejected again. The rest says nothing of the mail, and it may be tried again later.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. What stands in it is no business of the adapter."""

    organization_id: UUID
    message_id: UUID
    """Ours. The same for every attempt, so that whoever gets the mail twice can tell."""
    sender_name: str
    recipient: str
    subject: str
    text: str
    html: str
    language: str
    """BCP 47."""
    written_at: datetime
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The service took the mail. ``provider_id`` is its own name for it, which its notifications carry."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service will never take this mail. ``reason`` names nobody."""

    reason: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Too many at once, out of order, or no answer: then the mail may have been taken all the same."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The service takes no mail of this deployment at present: a person has to put that right. The mail is kept."""

    reason: str


class MailService(Protocol):
    """One vendor's mail service."""

    def send(self, mail: Mail) -> Sent | Rejected | TryAgain | NotAllowed:
        """Hand one mail over. Asks once, without retries of its own, and waits a bounded time."""
