"""Echoes the event, or does what the path asks for; the tests show what `do` can be."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

GREETING = os.environ["GREETING"]


def fail(_: Any) -> None:
    """Raise RuntimeError."""
    raise RuntimeError("as asked")


def describe(context: Any) -> dict[str, Any]:
    """Return the context as the body of an answer."""
    body = {
        "name": context.function_name,
        "remaining": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "pid": os.getpid(),
    }
    return {"statusCode": 200, "body": json.dumps(body)}


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "crash": lambda _: os._exit(3),
    "raise": fail,
    "sleep": lambda _: time.sleep(30),
    "nothing": lambda _: {"statusCode": 204},
    "plain": lambda _: {"greeting": GREETING},
    "malformed": lambda _: {"statusCode": "many", "body": {}},
    "unserializable": lambda _: {"statusCode": 200, "body": object()},
    "binary": lambda _: {
        "statusCode": 200,
        "isBase64Encoded": True,
        "body": "AP8=",
        "headers": {"Content-Type": "image/x"},
    },
    "cookies": lambda _: {"statusCode": 200, "cookies": ["a=1", "b=2"], "body": ""},
    "context": describe,
}


def handler(event: dict[str, Any], context: Any) -> Any:
    """Do what the path asks for, or else return the event itself."""
    wish = ANSWERS.get(event.get("pathParameters", {}).get("do", ""))
    if wish is not None:
        return wish(context)
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}
