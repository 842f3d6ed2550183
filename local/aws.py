"""The AWS emulation: moto's server in a process of its own, with the resources that the template names.

`python -m local.aws --port N --objects FOLDER` serves; `create` makes the resources once it answers.
"""

from __future__ import annotations

import argparse
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.model import REGION, Queue, Resources
from local.objects import KeptObjects, lay_back

if TYPE_CHECKING:
    from collections.abc import Callable

ACCESS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    # Nothing in here may reach a real account, whatever the developer's own configuration says.
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment of every process that talks to the emulation."""

_MADE = threading.Lock()


def client(service: str, url: str, *, read_timeout_seconds: float = 60.0) -> Any:
    """A boto3 client of the emulation at `url`. Safe to call from several threads."""
    import boto3  # noqa: PLC0415 (boto3 takes 0.1 s, and not everybody who imports this module talks to AWS)
    from botocore.config import Config  # noqa: PLC0415

    with _MADE:  # the default session is not made for threads
        session: Any = boto3.session.Session()  # typed per service by its stubs, and the service is a parameter here
        return session.client(
            service,
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                connect_timeout=5,
                read_timeout=read_timeout_seconds,
                retries={"total_max_attempts": 3, "mode": "standard"},
                max_pool_connections=20,
            ),
        )


def create(resources: Resources, url: str, objects: Path) -> None:
    """Creates the queues (dead-letter queues first), buses with their rules, topics with their subscriptions, buckets
    with the objects that the folder ``objects`` holds, and secrets. Safe to repeat."""
    sqs = client("sqs", url)
    for queue in sorted(resources.queues, key=lambda queue: queue.redrive_to is not None):
        sqs.create_queue(QueueName=queue.name, Attributes=_attributes(queue))
    events = client("events", url)
    known = {bus["Name"] for bus in events.list_event_buses()["EventBuses"]}
    for bus in resources.buses:
        if bus not in known:
            events.create_event_bus(Name=bus)
    for rule in resources.rules:
        events.put_rule(Name=rule.name, EventBusName=rule.bus, EventPattern=json.dumps(rule.pattern))
        targets = [{"Id": name, "Arn": arn} for name, arn in rule.targets.items()]
        events.put_targets(Rule=rule.name, EventBusName=rule.bus, Targets=targets)
    sns = client("sns", url)
    for topic in resources.topics:
        sns.create_topic(Name=topic)
    for each in resources.subscriptions:
        raw = {"RawMessageDelivery": str(each.is_raw).lower()}
        sns.subscribe(TopicArn=each.topic_arn, Protocol="sqs", Endpoint=each.queue_arn, Attributes=raw)
    if resources.buckets:
        s3 = client("s3", url)
        for bucket in resources.buckets:
            s3.create_bucket(Bucket=bucket)
        lay_back(s3, objects, resources.buckets)
    for name, value in resources.secrets.items():
        put_secret(url, name, value)


def put_secret(url: str, name: str, value: str) -> None:
    """Creates a secret, or gives an existing one a new value."""
    secrets = client("secretsmanager", url)
    try:
        secrets.create_secret(Name=name, SecretString=value)
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=name, SecretString=value)


def _attributes(queue: Queue) -> dict[str, str]:
    attributes = {
        "VisibilityTimeout": str(queue.visibility_timeout_seconds),
        "MessageRetentionPeriod": str(queue.retention_seconds),
    }
    if queue.redrive_to is not None:
        policy = {"deadLetterTargetArn": queue.redrive_to, "maxReceiveCount": queue.max_receive_count}
        attributes["RedrivePolicy"] = json.dumps(policy)
    return attributes


def _application() -> Callable[..., Any]:
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415 (0.5 s of imports)
        DomainDispatcherApplication,
        create_backend_app,
    )

    application: Callable[..., Any] = DomainDispatcherApplication(create_backend_app)
    return application


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves on 127.0.0.1 until SIGTERM."""
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="local.aws")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--objects", type=Path, required=True, help="the folder that keeps what is put into buckets")
    options = parser.parse_args(arguments)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # Every client here keeps its connections; without this each request would have to open a new one.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    server = make_server("127.0.0.1", options.port, KeptObjects(_application(), options.objects), threaded=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
