"""Does what its messages ask for: succeed, fail, take down the whole process, or call AWS."""

import os
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Write down every message that was handled, and report the bad ones."""
    failures = []
    for record in event["Records"]:
        verb, _, file = record["body"].partition(" ")
        if verb == "crash":
            os._exit(4)
        if verb == "ask":
            verb = f"{_code(_publish)},{_code(_put_event)}"
        if verb == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
        with Path(file).open("a") as out:
            out.write(f"{verb} {record['attributes']['ApproximateReceiveCount']} {record['eventSourceARN']}\n")
    return {"batchItemFailures": failures}


def _code(call: Any) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def _publish() -> None:
    boto3.client("sns").publish(TopicArn=os.environ["TOPIC_ARN"], Message="asked")


def _put_event() -> None:
    entry = {"Source": "sample", "DetailType": "asked", "Detail": "{}", "EventBusName": os.environ["EVENT_BUS_NAME"]}
    boto3.client("events").put_events(Entries=[entry])
