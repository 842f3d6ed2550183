"""Bounces and complaints, as Amazon SES publishes them to the topic of a configuration set's event destination.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cached_property
from typing import Any

from local.mail_server.mailbox import StoredMail


class FeedbackTopics:
    """Publishes what becomes of mails."""

    def __init__(self, aws_url: str, topics: Mapping[str, str]) -> None:
        self._aws_url = aws_url
        self._topics = dict(topics)

    @property
    def configuration_sets(self) -> frozenset[str] | None:
        """The configuration sets that exist, or None when none were named."""
        return frozenset(self._topics) or None

    @cached_property
    def _sns(self) -> Any:
        from local.aws import client  # noqa: PLC0415 (boto3 takes a while, and most mails arrive)

        return client("sns", self._aws_url)

    def tell(self, mail: StoredMail, event: Mapping[str, Any]) -> None:
        """Publishes an event, if the mail's configuration set has a topic."""
        topic = self._topics.get(mail.configuration_set or "")
        if topic:
            self._sns.publish(TopicArn=topic, Message=json.dumps(event), Subject="Amazon SES Email Event Notification")


def event_of(mail: StoredMail, fate: str) -> dict[str, Any] | None:
    """Return the event that reports this fate of a mail (`bounced`, `bounced_for_now`, `complained`, `suppressed`), or
    None when there is nothing to report."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    addresses = [parseaddr(address)[1] for address in mail.recipients]
    common = {"timestamp": now, "feedbackId": f"{secrets.token_hex(8)}-{secrets.token_hex(6)}-000000"}
    bounces = {
        "bounced": ("Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown"),
        "suppressed": ("Permanent", "OnAccountSuppressionList", "5.1.1", "Amazon SES did not send the message"),
        "bounced_for_now": ("Transient", "MailboxFull", "5.2.2", "smtp; 552 5.2.2 mailbox full"),
    }
    if fate in bounces:
        kind, subtype, status, code = bounces[fate]
        recipients = [
            {"emailAddress": address, "action": "failed", "status": status, "diagnosticCode": code}
            for address in addresses
        ]
        bounce = common | {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": recipients}
        return {"eventType": "Bounce", "bounce": bounce, "mail": _mail(mail)}
    if fate == "complained":
        complaint = common | {
            "complainedRecipients": [{"emailAddress": address} for address in addresses],
            "complaintSubType": None,
            "userAgent": "Amazon SES Mailbox Simulator",
            "complaintFeedbackType": "abuse",
            "arrivalDate": now,
        }
        return {"eventType": "Complaint", "complaint": complaint, "mail": _mail(mail)}
    return None


def _mail(mail: StoredMail) -> dict[str, Any]:
    tags = {name: [value] for name, value in mail.tags.items()}
    return {
        "timestamp": mail.taken_at,
        "source": mail.sender,
        "sendingAccountId": "123456789012",
        "messageId": mail.id,
        "destination": mail.recipients,
        "headersTruncated": False,
        "headers": [{"name": name, "value": str(value)} for name, value in mail.parsed.items()],
        "commonHeaders": {"from": [mail.sender], "to": mail.recipients, "subject": mail.subject, "messageId": mail.id},
        "tags": tags | {"ses:configuration-set": [mail.configuration_set or ""], "ses:operation": ["SendRawEmail"]},
    }
