"""The world of one seed: its database, its actors, its gateway, the messages on their way, and what everybody saw."""

import json
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pg8000.exceptions
import pg8000.native
import urllib3

from holdfast.flows.claims.idempotency import Answer
from holdfast.gateways.calls import connection_pool
from holdfast.mail.ses import SimpleEmailService
from holdfast.messaging.alerts import AlertTopic
from holdfast.messaging.event_bus import EventBus
from holdfast.messaging.queue import Queue
from holdfast.runtime import Runtime
from holdfast.secrets.store import SecretStore
from holdfast.settings import settings_from
from holdfast.storage.bucket import Bucket
from local.postgres import Address
from prove import aws, shop
from prove.actors import Actor, Cast, Outcome, Task
from prove.aws import Box, Cloud
from prove.plan import Plan
from prove.server_log import ServerLog

ACTORS: Final = 3
SERVER_BACK_SECONDS: Final = 20.0
_BLOCKED: Final = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype <> 'relation'"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An event of the gateway, as it would be posted."""

    id: str
    type: str
    payment: str
    body: str


@dataclass(slots=True)
class Message:
    """A message of the queue of payment events. ``due_at`` is when its delay is over."""

    event_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that the mail service accepted. ``is_orphan``: its sender could not record that."""

    id: str
    message_id: str
    recipient: str
    tags: Mapping[str, Sequence[str]]
    is_orphan: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was made under an idempotency key, kept to be repeated."""

    task: Task
    caller: str
    operation: str
    key: str
    asked_at: datetime


@dataclass(slots=True)
class Memory:
    """What the simulation knows that the database does not."""

    mail: list[Webhook] = field(default_factory=list)
    heard: list[Webhook] = field(default_factory=list)
    """Every webhook there ever was, delivered or not."""
    queue: list[Message] = field(default_factory=list)
    bells: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[str, str, str, int, str]] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    published: list[Mapping[str, Any]] = field(default_factory=list)
    alerts: int = 0
    mails: list[Letter] = field(default_factory=list)
    unwilling: dict[str, int] = field(default_factory=dict)
    """Each recipient who bounced or complained, and how many mails had been sent by then."""
    curses: list[str] = field(default_factory=list)
    """What will happen to the next events about money: ``poison``, or the code that applying them fails with."""
    cursed: set[str] = field(default_factory=set)
    """Ids of the gateway's events that were cursed in this way."""
    poisoned: set[str] = field(default_factory=set)
    """Ids of the gateway's events that kill whoever works on them."""
    surprises: list[tuple[int, str, str, str]] = field(default_factory=list)


class Gateway:
    """The local Stripe server and its control surface."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._http = urllib3.PoolManager(retries=False)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a command or a question to the control surface. Raises RuntimeError if it is refused."""
        answer = self._http.request(method, f"{self.base_url}{path}", json=body or {})
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.data!r}")
        return answer.json()


class World:
    """Everything of one seed. Use it as a context manager."""

    def __init__(
        self, plan: Plan, database: Address, superuser: Address, gateway: Gateway, folder: Path, log: ServerLog
    ) -> None:
        self.plan = plan
        self.gateway = gateway
        self.log = log
        self.memory = Memory()
        self.counts: Counter[str] = Counter()
        self.story: list[str] = []
        chance = random.Random(f"begin/{plan.seed}")
        self.now = shop.BEGINS_AT + timedelta(seconds=chance.uniform(0, 36 * 3600))
        self.superuser = superuser
        self._connection: pg8000.native.Connection | None = None
        self.box = Box(folder / f"box-{plan.seed}")
        cloud = Cloud(
            {
                shop.SECRET_REFERENCE: {"api_key": shop.API_KEY, "webhook_secrets": [shop.WEBHOOK_SECRET]},
                shop.ARCHIVE_KEY_REFERENCE: {"key": "a text of chance that no database ever sees: 3c9f0a"},
            }
        )
        self._runtimes = {role: self._runtime(database, role, cloud) for role in ("app", "system")}
        cast = Cast(self._runtimes, cloud, self.box)
        self.actors = [Actor(cast) for _ in range(ACTORS)]

    def _runtime(self, database: Address, role: str, cloud: Cloud) -> Runtime:
        made = Runtime(
            settings_from(
                {
                    "DATABASE_HOST": database.host,
                    "DATABASE_PORT": str(database.port),
                    "DATABASE_NAME": database.database,
                    "DATABASE_USER": f"holdfast_{role}",
                    "DATABASE_PASSWORD": shop.ROLE_PASSWORD,
                    "DATABASE_AUTHENTICATION": "password",
                    "DATABASE_TLS": "off",
                    "STRIPE_BASE_URL": self.gateway.base_url,
                    "PAYMENT_EVENTS_QUEUE_URL": aws.EVENTS_QUEUE,
                    "OUTBOX_BELL_QUEUE_URL": aws.BELL_QUEUE,
                    "EVENT_BUS_NAME": aws.BUS,
                    "ALERT_TOPIC_ARN": aws.TOPIC,
                    "MAIL_SENDER_ADDRESS": shop.SENDER,
                    "ARCHIVE_KEY_SECRET": shop.ARCHIVE_KEY_REFERENCE,
                    "ARCHIVE_BUCKET": aws.ARCHIVE_BUCKET,
                }
            )
        )
        made.__dict__.update(_ports(cloud))
        made.gateways._means.__dict__["pool"] = _POOL
        return made

    def __enter__(self) -> "World":
        self.gateway.ask("POST", "/_prove/reset", {"seed": self.plan.seed, "at": self.now.timestamp()})
        endpoint = {"url": "http://held.invalid/", "account": "*", "enabled_events": ["*"]}
        self.gateway.ask("POST", "/_control/webhook_endpoints", endpoint | {"secret": shop.WEBHOOK_SECRET})
        settings = shop.settings(self.plan.capture_policy, hold_seconds=self.plan.hold_seconds)
        self.sql("SELECT setval('prove.draws', CAST(:begin AS bigint))", begin=zlib.crc32(self.plan.seed.encode()) + 1)
        self.sql("UPDATE tenancy.organizations SET settings = CAST(:s AS jsonb)", s=settings)
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self.actors:
            actor.end()
        self._hang_up()
        for runtime in self._runtimes.values():
            runtime.database.engine.dispose()
        self.box.close()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def runtime(self, role: str) -> Runtime:
        """The runtime that this process itself reads with when all is over."""
        return self._runtimes[role]

    # --- time and post ----------------------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        """Advance the clock for everybody, and collect what was sent until then."""
        self.now += timedelta(seconds=seconds)
        self.collect()

    def collect(self) -> None:
        """Collect what the gateway and the system have sent."""
        for event in self.gateway.ask("POST", "/_prove/mail", {"at": self.now.timestamp()}):
            webhook = Webhook(event["id"], event["type"], event["payment"], event["body"])
            self.memory.mail.append(webhook)
            self.memory.heard.append(webhook)
            if self.memory.curses and webhook.type in _TELLING:
                self._curse(webhook, self.memory.curses.pop(0))
        for sent in self.box.take():
            match sent.to:
                case aws.EVENTS_QUEUE:
                    due_at = self.now + timedelta(seconds=sent.delay_seconds)
                    self.memory.queue.append(Message(sent.body["payment_event_id"], due_at))
                case aws.BELL_QUEUE:
                    self.memory.bells += 1
                case "mail":
                    self.memory.mails.append(Letter(**sent.body))
                case "bus":
                    self.memory.published.append(sent.body)
                case _:
                    self.memory.alerts += 1

    def _curse(self, webhook: Webhook, kind: str) -> None:
        self.memory.cursed.add(webhook.id)
        if kind == "poison":
            self.memory.poisoned.add(webhook.id)
            self.counts["fault: event poisoned"] += 1
        else:
            self.sql("INSERT INTO prove.breakage VALUES (:name, :code)", name=webhook.id, code=kind)
            self.counts["fault: event broken"] += 1

    # --- the database, as nobody of the system sees it --------------------------------------------------------------

    def rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as superuser. While the server is coming back, wait for it."""
        deadline = time.monotonic() + SERVER_BACK_SECONDS
        while True:
            try:
                if self._connection is None:
                    self._connection = self.superuser.connect()
                found = self._connection.run(statement, **parameters) or []
                names = [column["name"] for column in self._connection.columns or ()]
                return [dict(zip(names, row, strict=True)) for row in found]
            except (pg8000.exceptions.InterfaceError, OSError, pg8000.exceptions.DatabaseError) as error:
                if not _is_away(error) or time.monotonic() > deadline:
                    raise
                self._hang_up()
                time.sleep(0.01)  # nothing to await: the server is not there

    def sql(self, statement: str, **parameters: Any) -> None:
        """Run a statement as superuser."""
        self.rows(statement, **parameters)

    def value(self, statement: str, **parameters: Any) -> Any:
        """Return the single value of a query."""
        return next(iter(self.rows(statement, **parameters)[0].values()))

    def somebody_waits(self) -> bool:
        """Whether any session waits for a lock that another holds."""
        return bool(self.value(_BLOCKED))

    # --- what is seen -----------------------------------------------------------------------------------------------

    def tell(self, line: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.now:%d %H:%M:%S} {line}")

    def note(self, number: int, task: Task, outcome: Outcome, request: Request | None) -> None:
        """Note the outcome of a task: its answer if it had a key, and any error that nobody should have seen."""
        name = task.step.__name__
        if outcome.killed:
            self.counts[f"outcome {name}: killed"] += 1
        elif outcome.error is not None:
            self.counts[f"outcome {name}: {outcome.error}"] += 1
        elif isinstance(outcome.result, Answer):
            self.counts[f"outcome {name}: {outcome.result.status}"] += 1
            if request is not None:
                answer = outcome.result
                self.memory.answers.append((request.caller, request.operation, request.key, answer.status, answer.body))
        else:
            self.counts[f"outcome {name}: done"] += 1
        if not outcome.is_understood and not (task.aws == "down" and outcome.error == "EndpointConnectionError"):
            self.memory.surprises.append((number, name, str(outcome.error), outcome.detail))

    def write_down(self) -> None:
        """Record what the outside world saw beside the product's tables, for the report to compare."""
        memory = self.memory
        self.fill("acknowledged", ("gateway_event_id",), [(each,) for each in memory.acknowledged])
        self.fill(
            "published",
            ("id", "aggregate_id", "sequence", "topic"),
            [(each["id"], each["aggregate_id"], each["sequence"], each["topic"]) for each in memory.published],
        )
        self.fill("answers", ("caller", "operation", "key", "status", "body"), memory.answers)
        self.write_down_troubles()
        intents = self.intents()
        self.fill("at_gateway", _AT_GATEWAY, [_attempt(intent) for intent in intents])
        refunds = [refund for intent in intents for refund in intent["refunds"]]
        self.fill(
            "refunds_at_gateway",
            ("id", "refund_id", "amount", "status"),
            [(each["id"], each["metadata"].get("refund_id"), each["amount"], each["status"]) for each in refunds],
        )

    def write_down_troubles(self) -> None:
        """Record what nobody should have met: errors that no caller is told about, and deadlocks."""
        self.fill("surprises", ("move", "step", "error", "detail"), self.memory.surprises)
        self.fill("deadlocks", ("waiting",), [(each,) for each in self.log.deadlocks()])

    def intents(self) -> list[dict[str, Any]]:
        """Return every payment at the gateway, with its charges and refunds."""
        found: list[dict[str, Any]] = self.gateway.ask("GET", "/_control/payment_intents")
        return found

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Replace the rows of a table of the outside world."""
        self.sql(f"DELETE FROM prove.{table}")
        documents = [dict(zip(columns, row, strict=True)) for row in rows]
        self.sql(
            f"INSERT INTO prove.{table} ({', '.join(columns)}) SELECT {', '.join(columns)}"
            f" FROM jsonb_populate_recordset(NULL::prove.{table}, CAST(:rows AS jsonb))",
            rows=json.dumps(documents, default=str),
        )


_TELLING: Final = frozenset(
    {"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled", "refund.created",
     "refund.updated", "refund.failed", "payment_intent.amount_capturable_updated"}
)  # fmt: skip
"""The events that change something."""
_AT_GATEWAY: Final = (
    "transaction_id", "payment_id", "order_id", "status", "charges_captured", "captured", "refunded", "held"
)  # fmt: skip


def _attempt(intent: Mapping[str, Any]) -> tuple[Any, ...]:
    taken = [charge for charge in intent["charges"] if charge["status"] == "succeeded"]
    return (
        intent["id"],
        intent["metadata"].get("payment_id"),
        intent["metadata"].get("order_id"),
        intent["status"],
        sum(bool(charge["captured"]) for charge in taken),
        sum(charge["amount_captured"] for charge in taken),
        sum(refund["amount"] for refund in intent["refunds"] if refund["status"] not in ("failed", "canceled")),
        intent["amount_capturable"],
    )


def _ports(cloud: Cloud) -> dict[str, Any]:
    """Return the ports to AWS. Their clients are created before any fork: they cost more than a seed's calls."""
    if not _CLIENTS:
        os.environ.update(aws.ENVIRONMENT)
        _CLIENTS.update(
            secrets=SecretStore(),
            payment_events_queue=Queue(aws.EVENTS_QUEUE),
            outbox_bell=Queue(aws.BELL_QUEUE),
            event_bus=EventBus(aws.BUS),
            alerts=AlertTopic(aws.TOPIC),
            **dict.fromkeys(("archive_bucket", "archive_reader"), Bucket(aws.ARCHIVE_BUCKET)),
            mail=SimpleEmailService(shop.SENDER, ""),
        )
        for port in _CLIENTS.values():
            port._client  # noqa: B018 -- made on first use
    secrets = SecretStore()
    secrets.__dict__["_client"] = _CLIENTS["secrets"]._client
    secrets._cache.update({name: (time.monotonic(), value) for name, value in cloud.secrets.items()})
    return {**_CLIENTS, "secrets": secrets}


_CLIENTS: dict[str, Any] = {}
_POOL: Final = connection_pool()
"""Empty when a process inherits it, so that every process opens connections of its own."""


def _is_away(error: Exception) -> bool:
    """Whether the error says that the server is not there, or not there yet."""
    if isinstance(error, (pg8000.exceptions.InterfaceError, OSError)):
        return True
    report = error.args[0] if error.args else None
    return isinstance(report, dict) and report.get("C") in ("57P01", "57P02", "57P03")


def skewed(task: Task, seconds: float) -> Task:
    """Return the same task with a clock that is off by so many seconds."""
    return replace(task, now=task.now + timedelta(seconds=seconds))
