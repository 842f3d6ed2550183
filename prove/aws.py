"""AWS as the simulation has it: whatever the system sends is put into a box that outlives its sender.

boto3's clients are the real ones up to the call itself. What becomes of a message (delivered twice, late, out of order
or never) is up to the plan and not to the queue. A message is one line, written by one write: a process that is killed
has either sent it or not.
"""

import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import botocore.client
import botocore.exceptions

from holdfast.mail.ses import MESSAGE_TAG

ENVIRONMENT: Final = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_ENDPOINT_URL": "http://aws.invalid",
}
"""Lets boto3 create its clients, and makes sure that a call that is not answered here reaches nobody."""
EVENTS_QUEUE: Final = "https://sqs.prove/payment-events"
BELL_QUEUE: Final = "https://sqs.prove/outbox-bell"
BUS: Final = "prove"
TOPIC: Final = "arn:aws:sns:us-east-1:000000000000:prove"
ARCHIVE_BUCKET: Final = "prove-archive"


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: its destination (a queue's address, ``bus``, ``topic`` or ``mail``) and its body."""

    to: str
    body: dict[str, Any]
    delay_seconds: int = 0


class Box:
    """A file that every process appends to and one process reads."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._path = path
        self._read_bytes = 0

    def put(self, *messages: Sent) -> None:
        """Append all of the messages or none."""
        lines = [json.dumps([each.to, each.body, each.delay_seconds], default=str) + "\n" for each in messages]
        os.write(self._descriptor, "".join(lines).encode())

    def take(self) -> list[Sent]:
        """Return the messages that were put since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            fresh = file.read()
        self._read_bytes += len(fresh)
        return [Sent(*json.loads(line)) for line in fresh.splitlines()]

    @property
    def bucket(self) -> Path:
        """The folder that holds the objects of the bucket."""
        return self._path.with_name(f"{self._path.name}-bucket")

    def close(self) -> None:
        """Close the box and delete what it holds."""
        os.close(self._descriptor)
        shutil.rmtree(self.bucket, ignore_errors=True)
        self._path.unlink(missing_ok=True)


class Cloud:
    """Answers calls to AWS for one process.

    ``is_down``: every call fails. ``refuses_every``: the bus refuses every n-th message.
    """

    def __init__(self, secrets: dict[str, dict[str, Any]]) -> None:
        self.box: Box | None = None
        self.secrets = secrets
        self.is_down = False
        self.refuses_every = 0
        self._offered = 0

    def install(self) -> None:
        """Answer every call of boto3 in this process here from now on."""
        cloud = self

        def call(client: Any, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
            if cloud.is_down:
                raise botocore.exceptions.EndpointConnectionError(endpoint_url=client.meta.endpoint_url)
            return cloud.answer(operation, arguments)

        setattr(botocore.client.BaseClient, "_make_api_call", call)  # noqa: B010 -- its stubs do not know it

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return what AWS would answer.

        Raises NotImplementedError for an operation that the system is not known to use.
        """
        match operation:
            case "GetSecretValue":
                return {"SecretString": json.dumps(self.secrets[arguments["SecretId"]])}
            case "SendMessage":
                self._put(_message(arguments["QueueUrl"], arguments))
                return {"MessageId": str(uuid4())}
            case "SendMessageBatch":
                entries = arguments["Entries"]
                self._put(*(_message(arguments["QueueUrl"], entry) for entry in entries))
                return {"Successful": [{"Id": entry["Id"]} for entry in entries]}
            case "PutEvents":
                return {"Entries": [self._offer(entry) for entry in arguments["Entries"]]}
            case "Publish":
                self._put(Sent("topic", {"subject": arguments["Subject"]}))
                return {"MessageId": str(uuid4())}
            case _:
                return self._of_other_services(operation, arguments)

    def _of_other_services(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        match operation:
            case "SendEmail":
                return self._take(arguments)
            case "PutObject":
                self._store(arguments["Key"], arguments["Body"])
                return {}
            case "GetObject":
                return self._fetch(arguments["Key"], arguments.get("Range"))
            case "ListObjectsV2":
                return {"Contents": [{"Key": key} for key in self._names(arguments["Prefix"])], "IsTruncated": False}
            case _:
                raise NotImplementedError(operation)

    def _take(self, mail: dict[str, Any]) -> dict[str, Any]:
        identifier = str(uuid4())
        tags = {tag["Name"]: [tag["Value"]] for tag in mail["EmailTags"]}
        (recipient,) = mail["Destination"]["ToAddresses"]
        letter = {"id": identifier, "message_id": tags[MESSAGE_TAG][0], "recipient": recipient, "tags": tags}
        self._put(Sent("mail", letter))
        return {"MessageId": identifier}

    def _store(self, key: str, body: Any) -> None:
        """Store an object as a whole or not at all, and never over another.

        The system asks for that with every object (IfNoneMatch).
        """
        path = self._object(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(f"{path.name}.{uuid4().hex}")
        begun.write_bytes(body if isinstance(body, bytes) else body.read())
        try:
            os.link(begun, path)
        except FileExistsError:
            raise _refusal("PreconditionFailed", "PutObject") from None
        finally:
            begun.unlink()

    def _fetch(self, key: str, ranged: str | None) -> dict[str, Any]:
        path = self._object(key)
        if not path.exists():
            raise _refusal("NoSuchKey", "GetObject")
        data = path.read_bytes()
        if ranged is None:
            return {"Body": io.BytesIO(data)}
        first, _, last = ranged.removeprefix("bytes=").partition("-")
        begins = int(first) if first else max(0, len(data) - int(last))
        ends = min(int(last), len(data) - 1) if first else len(data) - 1
        return {"Body": io.BytesIO(data[begins : ends + 1]), "ContentRange": f"bytes {begins}-{ends}/{len(data)}"}

    def _names(self, prefix: str) -> list[str]:
        """Of whole objects: one that is being stored has a name of chance behind its own."""
        kept = [path for path in self._object("").rglob("*") if path.suffix in {".json", ".parquet"}]
        names = (path.relative_to(self._object("")).as_posix() for path in kept)
        return sorted(name for name in names if name.startswith(prefix))

    def _object(self, key: str) -> Path:
        if self.box is None:
            raise RuntimeError("no bucket to put objects into")
        return self.box.bucket / key

    def _offer(self, entry: dict[str, Any]) -> dict[str, str]:
        self._offered += 1
        if self.refuses_every and self._offered % self.refuses_every == 0:
            return {"ErrorCode": "ThrottlingException", "ErrorMessage": "refused on command"}
        self._put(Sent("bus", {"topic": entry["DetailType"], **json.loads(entry["Detail"])}))
        return {"EventId": str(uuid4())}

    def _put(self, *messages: Sent) -> None:
        if self.box is None:
            raise RuntimeError("no box to put messages into")
        self.box.put(*messages)


def _refusal(code: str, operation: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "as S3 says it"}}, operation)


def _message(queue_url: str, entry: dict[str, Any]) -> Sent:
    return Sent(queue_url, json.loads(entry["MessageBody"]), int(entry.get("DelaySeconds", 0)))
