"""Reads the events that Amazon SES publishes to event destinations about mails that it accepted.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.mail.ses import MESSAGE_TAG, ORGANIZATION_TAG
from holdfast.notifications.model import Feedback

_FOR_GOOD: Final = "Permanent"
_NOT_SPAM: Final = "not-spam"
"""The feedback type of a recipient who moves the mail out of the junk folder."""
_IMPERSONAL: Final = ("feedbackId", "timestamp", "bounceType", "bounceSubType", "complaintFeedbackType")
"""The fields of a bounce or complaint that say what happened, and to nobody."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the service reports about one of our mails."""

    organization_id: UUID
    message_id: UUID
    feedback: Feedback
    feedback_id: str
    """The service's id for this event, which is the same if it is delivered twice."""
    told_at: datetime
    addresses: tuple[str, ...]


def read_feedback(event: Mapping[str, Any]) -> Told | None:
    """Return what an event reports about a mail.

    Return ``None`` for other types of event, for mails without our tags (such as a test from the console), and for a
    recipient who says that the mail is not spam. Raises KeyError or ValueError for an event that lacks fields of its
    type.
    """
    kind = event["eventType"]
    tags = event["mail"].get("tags", {})
    if kind not in ("Bounce", "Complaint") or ORGANIZATION_TAG not in tags or MESSAGE_TAG not in tags:
        return None
    news = event[kind.lower()]
    if kind == "Bounce":
        feedback = Feedback.BOUNCED if news["bounceType"] == _FOR_GOOD else Feedback.BOUNCED_FOR_NOW
        recipients = news["bouncedRecipients"]
    else:
        if news.get("complaintFeedbackType") == _NOT_SPAM:
            return None
        feedback, recipients = Feedback.COMPLAINED, news["complainedRecipients"]
    return Told(
        organization_id=UUID(tags[ORGANIZATION_TAG][0]),
        message_id=UUID(tags[MESSAGE_TAG][0]),
        feedback=feedback,
        feedback_id=str(news["feedbackId"]),
        told_at=datetime.fromisoformat(news["timestamp"]),
        addresses=tuple(str(recipient["emailAddress"]) for recipient in recipients),
    )


def without_addresses(event: Any) -> dict[str, Any] | None:
    """Return what happened to which mail, without whom it was sent to; ``None`` for what is no event of the service.

    The mail's tags are kept: they lead to its recipient for as long as that is stored.
    """
    if not isinstance(event, Mapping) or "eventType" not in event or not isinstance(event.get("mail"), Mapping):
        return None
    kind, mail = str(event["eventType"]), event["mail"]
    news, tags = (part if isinstance(part, Mapping) else {} for part in (event.get(kind.lower()), mail.get("tags")))
    return {
        "eventType": kind,
        kind.lower(): {name: news[name] for name in _IMPERSONAL if name in news},
        "mail": {
            "messageId": mail.get("messageId"),
            "tags": {name: tags[name] for name in (ORGANIZATION_TAG, MESSAGE_TAG) if name in tags},
        },
    }
