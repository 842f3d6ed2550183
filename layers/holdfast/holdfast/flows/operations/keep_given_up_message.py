"""Keep a message that crashed its function until SQS gave it up: it moves from the dead letter queue to the inbox.

The row is committed before the message is deleted. Its ``related_id`` is derived from the message, so a message that is
delivered again is the same failure in the same row.
"""

import json
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.mail.ses import ORGANIZATION_TAG
from holdfast.mail.ses_feedback import without_addresses
from holdfast.runtime import Runtime

ACTOR: Final = "system:dead_letter_queues"
BODY_MAX_CHARACTERS: Final = 8000
DEPLOYMENT: Final = UUID(int=0)
"""The organization of messages that belong to none, such as a bell or a tick. No caller ever belongs to it."""
_NAMESPACE: Final = UUID("0f3b0c0e-6a0a-5d53-9a57-5a1c2f1f7a11")


def keep_given_up_message(runtime: Runtime, queue: str, message_id: str, body: str, now: datetime) -> UUID:
    """Record the message once, and return the organization that it belongs to.

    Of feedback about a mail no address is kept.
    """
    message = _read(body)
    feedback = without_addresses(message)
    if feedback is not None:
        body = json.dumps(feedback)
    organization_id = _organization_of(message)
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        call_person(
            transaction,
            Process.MESSAGE_GIVEN_UP,
            uuid5(_NAMESPACE, f"{queue}/{message_id}"),
            f"message {message_id} of {queue} crashed its function every time it was delivered",
            {"queue": queue, "message_id": message_id, "body": body[:BODY_MAX_CHARACTERS]},
        )
    return organization_id


def _read(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _organization_of(message: Any) -> UUID:
    try:
        if "mail" in message:
            return UUID(message["mail"]["tags"][ORGANIZATION_TAG][0])
        return UUID(message.get("detail", message)["organization_id"])
    except (ValueError, TypeError, LookupError, AttributeError):
        return DEPLOYMENT
