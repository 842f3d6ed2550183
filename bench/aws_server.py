"""A light replacement for the AWS emulation under load: SQS, EventBridge and Secrets Manager over their JSON protocols.

moto's server handles 60 to 170 messages per second, so a load test would measure moto. This one keeps queues in memory,
with visibility timeouts, delays, long polls and redrive, and supports exactly the calls that the system makes;
``/_state`` returns what is in it. ``python -m bench.aws_server`` replaces ``python -m local.aws`` and takes its
options.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import uvicorn

from local.model import ACCOUNT, REGION

Document = dict[str, Any]
Send = Callable[[Document], Awaitable[None]]
Receive = Callable[[], Awaitable[Document]]

_SNS_ANSWER: Final = (
    '<{0}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{0}Result>'
    f"<TopicArn>arn:aws:sns:{REGION}:{ACCOUNT}:{{1}}</TopicArn></{{0}}Result><ResponseMetadata>"
    "<RequestId>bench</RequestId></ResponseMetadata></{0}Response>"
)


class Refused(Exception):
    """An AWS error. Its code is the message."""


@dataclass(slots=True)
class Message:
    """One message of a queue."""

    id: str
    body: str
    sent_at: float
    receives: int = 0


@dataclass(slots=True)
class Queue:
    """A standard queue."""

    name: str
    visibility_seconds: float
    redrive: Queue | None = None
    receives_max: int = 0
    ready: deque[Message] = field(default_factory=deque)
    taken: dict[str, tuple[Message, asyncio.TimerHandle]] = field(default_factory=dict)
    delayed: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: Message, delay_seconds: float = 0) -> None:
        """Add a message, which becomes visible after the delay."""
        if delay_seconds > 0:
            self.delayed += 1
            asyncio.get_running_loop().call_later(delay_seconds, self._show, message)
            return
        self.ready.append(message)
        self.arrived.set()

    def _show(self, message: Message) -> None:
        self.delayed -= 1
        self.put(message)

    async def take(self, count: int, wait_seconds: float) -> list[tuple[str, Message]]:
        """Return up to ``count`` messages with their receipts. Wait for the first one."""
        if not self.ready and wait_seconds > 0:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), wait_seconds)
            except TimeoutError:
                return []
        taken: list[tuple[str, Message]] = []
        while self.ready and len(taken) < count:
            message = self.ready.popleft()
            if self.redrive is not None and message.receives >= self.receives_max:
                self.redrive.put(message)
                continue
            message.receives += 1
            receipt = uuid.uuid4().hex
            timer = asyncio.get_running_loop().call_later(self.visibility_seconds, self._return, receipt)
            self.taken[receipt] = (message, timer)
            taken.append((receipt, message))
        return taken

    def _return(self, receipt: str) -> None:
        message, _ = self.taken.pop(receipt)
        self.put(message)

    def delete(self, receipt: str) -> None:
        """Delete a message that was handled. An old receipt deletes nothing."""
        if receipt in self.taken:
            self.taken.pop(receipt)[1].cancel()

    def state(self) -> dict[str, int]:
        """Return how many messages are in each state."""
        return {"ready": len(self.ready), "in_flight": len(self.taken), "delayed": self.delayed}


@dataclass(slots=True)
class Rule:
    """Which events of a bus go to which queues, selected by source and detail type."""

    bus: str
    sources: frozenset[str]
    detail_types: frozenset[str]
    targets: list[str] = field(default_factory=list)

    def takes(self, entry: Document) -> bool:
        """Whether an entry of PutEvents matches the rule."""
        is_of_bus = entry.get("EventBusName", "default") == self.bus
        return is_of_bus and entry["Source"] in self.sources and entry["DetailType"] in self.detail_types


class Emulation:
    """The ASGI application."""

    def __init__(self) -> None:
        self._base = ""
        self._queues: dict[str, Queue] = {}
        self._secrets: dict[str, str] = {}
        self._buses = ["default"]
        self._rules: dict[str, Rule] = {}
        self._calls: Counter[str] = Counter()

    async def __call__(self, scope: Document, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self._base = f"http://{headers.get('host', '')}"
        body = await _body(receive)
        target = headers.get("x-amz-target", "")
        status, content_type = 200, "application/x-amz-json-1.0"
        try:
            if target:
                answer = json.dumps(await self._call(target.rpartition(".")[2], json.loads(body or b"{}")))
            elif scope["path"] == "/_state":
                answer = json.dumps(self._state())
            elif b"Action=CreateTopic" in body or b"Action=Subscribe" in body:  # nothing is published to a topic
                asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                answer, content_type = _SNS_ANSWER.format(asked["Action"], asked.get("Name", "")), "text/xml"
            else:
                answer = ""  # S3: create the bucket
        except Refused as refused:
            status, answer = 400, json.dumps({"__type": str(refused), "message": str(refused)})
        content = answer.encode()
        reply = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": reply})
        await send({"type": "http.response.body", "body": content})

    async def _call(self, operation: str, request: Document) -> Document:
        self._calls[operation] += 1
        if operation == "ReceiveMessage":
            count, wait = int(request.get("MaxNumberOfMessages", 1)), float(request.get("WaitTimeSeconds", 0))
            taken = await self._queue(request).take(count, wait)
            return {"Messages": [_received(receipt, message) for receipt, message in taken]} if taken else {}
        known: dict[str, Callable[[Document], Document]] = {
            "SendMessage": lambda sent: self._put(self._queue(sent), sent),
            "SendMessageBatch": self._put_all,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_all,
            "CreateQueue": self._create_queue,
            "GetQueueUrl": lambda asked: {"QueueUrl": self._url(self._queues[asked["QueueName"]])},
            "GetQueueAttributes": self._attributes,
            "PutEvents": self._put_events,
            "CreateEventBus": self._create_bus,
            "PutRule": self._put_rule,
            "PutTargets": self._put_targets,
            "ListEventBuses": lambda _: {"EventBuses": [{"Name": name} for name in self._buses]},
            "CreateSecret": self._create_secret,
            "PutSecretValue": self._put_secret,
            "GetSecretValue": self._get_secret,
        }
        if operation not in known:
            raise Refused(f"UnknownOperationException {operation}")
        return known[operation](request)

    def _put_all(self, request: Document) -> Document:
        queue = self._queue(request)
        return {"Successful": [{"Id": entry["Id"], **self._put(queue, entry)} for entry in request["Entries"]]}

    def _delete(self, request: Document) -> Document:
        self._queue(request).delete(request["ReceiptHandle"])
        return {}

    def _delete_all(self, request: Document) -> Document:
        for entry in request["Entries"]:
            self._queue(request).delete(entry["ReceiptHandle"])
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def _attributes(self, request: Document) -> Document:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self._queue(request).ready))}}

    def _put_events(self, request: Document) -> Document:
        self._calls["events published"] += len(request["Entries"])
        entries = []
        for entry in request["Entries"]:
            identifier = str(uuid.uuid4())
            entries.append({"EventId": identifier})
            for rule in self._rules.values():
                if rule.takes(entry):
                    for target in rule.targets:
                        self._queues[target].put(Message(identifier, _delivered(entry, identifier), time.time()))
        return {"FailedEntryCount": 0, "Entries": entries}

    def _put_rule(self, request: Document) -> Document:
        pattern = json.loads(request["EventPattern"])
        if pattern.keys() != {"source", "detail-type"}:
            raise Refused("InvalidEventPatternException")  # no other pattern is understood here
        name, bus = request["Name"], request.get("EventBusName", "default")
        self._rules[name] = Rule(bus, frozenset(pattern["source"]), frozenset(pattern["detail-type"]))
        return {"RuleArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{bus}/{name}"}

    def _put_targets(self, request: Document) -> Document:
        queues = [target["Arn"].rpartition(":")[2] for target in request["Targets"]]
        self._rules[request["Rule"]].targets += [queue for queue in queues if queue in self._queues]
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def _create_bus(self, request: Document) -> Document:
        self._buses.append(request["Name"])
        return {"EventBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{request['Name']}"}

    def _create_secret(self, request: Document) -> Document:
        if request["Name"] in self._secrets:
            raise Refused("ResourceExistsException")
        return self._put_secret({**request, "SecretId": request["Name"]})

    def _put_secret(self, request: Document) -> Document:
        name = request["SecretId"]
        self._secrets[name] = request["SecretString"]
        arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"
        return {"Name": name, "ARN": arn, "VersionId": str(uuid.uuid4())}

    def _get_secret(self, request: Document) -> Document:
        if request["SecretId"] not in self._secrets:
            raise Refused("ResourceNotFoundException")
        return {"Name": request["SecretId"], "SecretString": self._secrets[request["SecretId"]]}

    def _create_queue(self, request: Document) -> Document:
        name, attributes = request["QueueName"], request.get("Attributes", {})
        if name not in self._queues:
            queue = self._queues[name] = Queue(name, float(attributes.get("VisibilityTimeout", 30)))
            if "RedrivePolicy" in attributes:
                policy = json.loads(attributes["RedrivePolicy"])
                queue.redrive = self._queues[policy["deadLetterTargetArn"].rpartition(":")[2]]
                queue.receives_max = int(policy["maxReceiveCount"])
        return {"QueueUrl": self._url(self._queues[name])}

    def _url(self, queue: Queue) -> str:
        return f"{self._base}/{ACCOUNT}/{queue.name}"

    def _queue(self, request: Document) -> Queue:
        name = request["QueueUrl"].rpartition("/")[2]
        if name not in self._queues:
            raise Refused("com.amazonaws.sqs#QueueDoesNotExist")
        return self._queues[name]

    def _put(self, queue: Queue, request: Document) -> Document:
        message = Message(str(uuid.uuid4()), request["MessageBody"], time.time())
        queue.put(message, float(request.get("DelaySeconds", 0)))
        return {"MessageId": message.id, "MD5OfMessageBody": _md5(message.body)}

    def _state(self) -> Document:
        return {"queues": {name: queue.state() for name, queue in self._queues.items()}, "calls": dict(self._calls)}


def _delivered(entry: Document, identifier: str) -> str:
    """Return an entry of PutEvents as a rule passes it to its targets."""
    return json.dumps(
        {
            "version": "0",
            "id": identifier,
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": ACCOUNT,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entry.get("Time"))),
            "region": REGION,
            "resources": [],
            "detail": json.loads(entry["Detail"]),
        }
    )


def _received(receipt: str, message: Message) -> Document:
    return {
        "MessageId": message.id,
        "ReceiptHandle": receipt,
        "Body": message.body,
        "MD5OfBody": _md5(message.body),
        "Attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        },
    }


def _md5(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


async def _body(receive: Receive) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    parser = argparse.ArgumentParser(prog="bench.aws_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--objects", help="not used: no order of the load puts an object into a bucket")
    options = parser.parse_args(arguments)
    uvicorn.run(Emulation(), host="127.0.0.1", port=options.port, lifespan="off", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
