"""Events that Amazon SES publishes about mails it took, as its event destinations write them.

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
"""A recipient who takes the mail out of the junk again."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the service tells of one mail of ours."""

    organization_id: UUID
    message_id: UUID
    feedback: Feedback
    feedback_id: str
    """The service's name for this piece of news: the same when it is told twice."""
    told_at: datetime
    addresses: tuple[str, ...]


def read_feedback(event: Mapping[str, Any]) -> Told | None:
    """What an event tells; ``None`` for other types, and for mails without our tags (a test from the console).

    Raises KeyError or ValueError for an event that lacks what its type promises.
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
