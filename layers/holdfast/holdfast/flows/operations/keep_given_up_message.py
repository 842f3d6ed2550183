"""A message that crashed its function until SQS gave it up: kept where people look, then gone from the queue.

The row is committed before the message is deleted, and its id comes from the message: one that is delivered again is
the same trouble, and the same row.
"""

import json
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import Process
from holdfast.runtime import Runtime

ACTOR: Final = "system:dead_letter_queues"
BODY_MAX_CHARACTERS: Final = 8000
DEPLOYMENT: Final = UUID(int=0)
"""Who a message belongs to that is no organization's: a bell, a tick. No caller is ever of this organization."""
_NAMESPACE: Final = UUID("0f3b0c0e-6a0a-5d53-9a57-5a1c2f1f7a11")


def keep_given_up_message(runtime: Runtime, queue: str, message_id: str, body: str, now: datetime) -> UUID:
    """Write the message down once; answers whose it is."""
    organization_id = _organization_of(body)
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        call_person(
            transaction,
            Process.MESSAGE_GIVEN_UP,
            uuid5(_NAMESPACE, f"{queue}/{message_id}"),
            f"message {message_id} of {queue} crashed its function every time it was delivered",
            {"queue": queue, "message_id": message_id, "body": body[:BODY_MAX_CHARACTERS]},
        )
    return organization_id


def _organization_of(body: str) -> UUID:
    try:
        message: Any = json.loads(body)
        return UUID(message.get("detail", message)["organization_id"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return DEPLOYMENT
