"""The template as plain values: the functions with their triggers, and the resources that they use.

The values travel to the processes of the local system as JSON (`dump`, `load`), so that the template is read only once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REGION = "us-east-1"
ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API. `method` may be ANY; `path` may hold `{name}` and a last `{name+}`."""

    method: str
    path: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class QueueSource:
    """An SQS event source of a function."""

    queue_url: str
    queue_arn: str
    batch_size: int
    reports_item_failures: bool
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A ScheduleV2 event of a function. `expression` is `rate(...)` or `cron(...)` in `timezone`."""

    name: str
    expression: str
    timezone: str
    input: str | None


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions that a role allows, and the patterns of the resources on which it allows them."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it is run here. `name` is its folder's name; `environment` is final."""

    name: str
    logical_id: str
    folder: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    max_concurrency: int | None
    max_retries: int
    failure_queue_url: str | None
    environment: Mapping[str, str]
    routes: tuple[Route, ...] = ()
    queues: tuple[QueueSource, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    permissions: tuple[Permission, ...] = ()

    @property
    def arn(self) -> str:
        """Its ARN in the account of the emulation."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.logical_id}"


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue. `redrive_to` is the ARN of its dead-letter queue."""

    name: str
    visibility_timeout_seconds: int
    retention_seconds: int
    redrive_to: str | None
    max_receive_count: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """An EventBridge rule: which events of a bus go to which queues, by their ARNs."""

    name: str
    bus: str
    pattern: Mapping[str, Any]
    targets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue that receives what is published to a topic, raw or in SNS's envelope."""

    topic_arn: str
    queue_arn: str
    is_raw: bool


@dataclass(frozen=True, slots=True)
class Resources:
    """The AWS resources that the emulation creates, by their physical names. Secrets have their first value."""

    queues: tuple[Queue, ...]
    buses: tuple[str, ...]
    topics: tuple[str, ...]
    buckets: tuple[str, ...]
    secrets: Mapping[str, str]
    rules: tuple[Rule, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    mail_feedback: Mapping[str, str] = field(default_factory=dict)
    """The topic that bounces and complaints go to, by SES configuration set."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """What the JWT authorizer requires of a token."""

    issuer: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the template says about the local system."""

    functions: tuple[Function, ...]
    resources: Resources
    jwt: JwtSettings

    def groups(self) -> dict[str, tuple[Function, ...]]:
        """The functions that something triggers, grouped by environment.

        Settings are read from the environment once per process, so only functions with equal environments can share
        one. A group is named after its database user.
        """
        members: dict[tuple[tuple[str, str], ...], list[Function]] = {}
        for function in self.functions:
            if function.routes or function.queues or function.schedules:
                members.setdefault(tuple(sorted(function.environment.items())), []).append(function)
        named: dict[str, tuple[Function, ...]] = {}
        for number, group in enumerate(members.values()):
            name = group[0].environment.get("DATABASE_USER", "functions").removeprefix("holdfast_")
            named[name if name not in named else f"{name}-{number}"] = tuple(group)
        return named

    def dump(self, path: Path) -> None:
        """Writes the plan, readable by its owner alone, because environments hold passwords."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Reads what `dump` wrote."""
        raw = json.loads(path.read_text())
        resources = raw["resources"]
        return cls(
            functions=tuple(_function(function) for function in raw["functions"]),
            resources=Resources(
                queues=tuple(Queue(**queue) for queue in resources["queues"]),
                buses=tuple(resources["buses"]),
                topics=tuple(resources["topics"]),
                buckets=tuple(resources["buckets"]),
                secrets=resources["secrets"],
                rules=tuple(Rule(**rule) for rule in resources["rules"]),
                subscriptions=tuple(Subscription(**each) for each in resources["subscriptions"]),
                mail_feedback=resources["mail_feedback"],
            ),
            jwt=JwtSettings(raw["jwt"]["issuer"], tuple(raw["jwt"]["audiences"])),
        )


def _function(raw: dict[str, Any]) -> Function:
    return Function(
        **raw
        | {
            "routes": tuple(Route(**route) for route in raw["routes"]),
            "queues": tuple(QueueSource(**queue) for queue in raw["queues"]),
            "schedules": tuple(Schedule(**schedule) for schedule in raw["schedules"]),
            "permissions": tuple(
                Permission(tuple(each["actions"]), tuple(each["resources"])) for each in raw["permissions"]
            ),
        }
    )
