"""Answers with what it got, or does what the path asks."""

import json
import os
import time
from typing import Any

GREETING = os.environ["GREETING"]


def handler(event: dict[str, Any], context: Any) -> Any:
    """See the tests for what `do` can be."""
    match event.get("pathParameters", {}).get("do"):
        case "crash":
            os._exit(3)
        case "raise":
            raise RuntimeError("as asked")
        case "sleep":
            time.sleep(30)
        case "nothing":
            return {"statusCode": 204}
        case "plain":
            return {"greeting": GREETING}
        case "malformed":
            return {"statusCode": "many", "body": {}}
        case "unserializable":
            return {"statusCode": 200, "body": object()}
        case "binary":
            return {"statusCode": 200, "isBase64Encoded": True, "body": "AP8=", "headers": {"Content-Type": "image/x"}}
        case "cookies":
            return {"statusCode": 200, "cookies": ["a=1", "b=2"], "body": ""}
        case "context":
            body = {
                "name": context.function_name,
                "remaining": context.get_remaining_time_in_millis(),
                "request_id": context.aws_request_id,
                "pid": os.getpid(),
            }
            return {"statusCode": 200, "body": json.dumps(body)}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(event)}
