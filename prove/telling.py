"""How a story tells of a task and its outcome: briefly, with the ends of the ids that it is about."""

import json
from typing import Any, Final
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.values.caller import Caller
from prove.actors import Task

WORDS_MAX_CHARACTERS: Final = 100
_SUBJECTS: Final = (
    "reference",
    "shipment_id",
    "dead_letter_id",
    "action",
    "token",
    "items",
    "wanted",
    "amount_minor",
    "type",
)


def about(task: Task) -> str:
    """Return what the task asks for and who asks."""
    return " ".join(filter(None, map(_argument, task.arguments)))


def short(result: object) -> str:
    """Return what was answered, as short text."""
    if isinstance(result, Answer):
        return f"{result.status} {_document(json.loads(result.body))}".rstrip()
    text = repr(result)
    return text if len(text) <= WORDS_MAX_CHARACTERS else f"{text[:WORDS_MAX_CHARACTERS]}..."


def _argument(value: object) -> str:
    if isinstance(value, UUID):
        return tail(value)
    if isinstance(value, bytes):
        event = value.decode(errors="replace").partition('"type": "')[2].partition('"')[0]
        return event or "cut short"
    if isinstance(value, (str, dict)):
        return ""
    caller, claim = getattr(value, "caller", None), getattr(value, "claim", None)
    words = [caller.subject] if isinstance(caller, Caller) else []
    words += [claim.key] if isinstance(claim, Claim) else []
    words += [
        f"{name}={_value(found)}" for name in _SUBJECTS if (found := getattr(value, name, None)) not in (None, (), {})
    ]
    request = getattr(value, "request", None)
    if request is not None:
        words.append(", ".join(f"{item.quantity} {item.sku}" for item in request.items))
    return " ".join(words) if words else short(value)


def _value(value: object) -> str:
    return tail(value) if isinstance(value, UUID) or (isinstance(value, str) and value.count("-") == 4) else str(value)


def _document(body: dict[str, Any]) -> str:
    told = [body["code"]] if "code" in body else []
    order = body.get("order")
    if order:
        told.append(f"order {tail(order['id'])} {order['status']}, {order['payment_status']}")
    for name in ("payment", "shipment", "transfer", "reallocation"):
        thing = body.get(name)
        if thing and thing.get("id"):
            told.append(f"{name} {tail(thing['id'])} {thing['status']}")
    told += [f"refund {tail(each['id'])} {each['status']} {each['amount_minor']}" for each in body.get("refunds", ())]
    return "; ".join(told)


def tail(identifier: object) -> str:
    """Return the end of an id, which is enough to find it again."""
    return f"..{str(identifier)[-6:]}"
