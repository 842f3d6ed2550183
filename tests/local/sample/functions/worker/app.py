"""Does what its messages ask: succeed, fail, or take the whole process down."""

import os
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Writes down every message that it handled, and reports the bad ones."""
    failures = []
    for record in event["Records"]:
        verb, _, file = record["body"].partition(" ")
        if verb == "crash":
            os._exit(4)
        if verb == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
        with Path(file).open("a") as out:
            out.write(f"{verb} {record['attributes']['ApproximateReceiveCount']} {record['eventSourceARN']}\n")
    return {"batchItemFailures": failures}
