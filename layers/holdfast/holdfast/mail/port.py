"""The port of mail services: one mail in, one of a closed set of outcomes out. A service's answer never raises.

Only ``Sent`` proves that the service has the mail. Of the other outcomes, only ``Rejected`` is about this very mail and
final: the same mail would be rejected again. The rest say nothing about the mail, so it may be tried again later.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. Its contents are no concern of the adapter."""

    organization_id: UUID
    message_id: UUID
    """Our id. It is the same for every attempt, so that a recipient of duplicates can recognize them."""
    sender_name: str
    recipient: str
    subject: str
    text: str
    html: str
    language: str
    """A BCP 47 tag."""
    written_at: datetime
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The service accepted the mail. ``provider_id`` is the service's own id for it, which its notifications carry."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service will never accept this mail. ``reason`` contains no personal data."""

    reason: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The service was throttled, out of order, or did not answer, in which case it may have accepted the mail."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The service currently accepts no mail from this deployment, which a person has to fix. The mail is kept."""

    reason: str


class MailService(Protocol):
    """One vendor's mail service."""

    def send(self, mail: Mail) -> Sent | Rejected | TryAgain | NotAllowed:
        """Hand over one mail. Makes a single request, without retries, and waits for a bounded time."""
