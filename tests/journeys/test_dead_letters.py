"""The life of a failure: given up, understood, and cured by hand until its class has earned automatic replay.

The failure is a payment whose gateway id was lost. Webhooks that name nothing else cannot be matched until it is found.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import text

from local.system import SECRET_REFERENCE
from tests.journeys.conftest import City, Reply

TICK_SECONDS: Final = 90.0
"""The schedule runs every minute in the cloud, and more often here."""
LETTERS: Final = "/v1/ops/dead-letters"
CLASSES: Final = "/v1/ops/error-classes"


class Trouble:
    """A paid order, webhooks about it, and the one id by which they are matched."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.manager = city.system.token("manager")
        placed = city.checkout(city.sku(5))
        assert placed.status == 201, placed.raw
        city.wait_until_quiet()
        self.order_id = placed.body["order"]["id"]
        (self.intent,) = city.stripe("GET", f"/payment_intents?metadata[order_id]={self.order_id}")
        secret = city.system.aws("secretsmanager").get_secret_value(SecretId=SECRET_REFERENCE)
        self.secret = json.loads(secret["SecretString"])["webhook_secrets"][0]
        assert city.system.plan is not None
        environment = city.system.plan.functions[0].environment
        self.queue_url = environment["PAYMENT_EVENTS_QUEUE_URL"]
        self.sqs = city.system.aws("sqs")

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """Call the API as a manager."""
        return self.city.call(method, path, body, token=self.manager)

    def sql(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run a statement as superuser, for what befalls the database and for the passing of time."""
        with self.city.engine.connect() as connection:
            found = connection.execute(text(statement), parameters)
            return [dict(row._mapping) for row in found] if found.returns_rows else []

    def lose_the_id(self) -> None:
        """Cause the failure."""
        self.sql("UPDATE payments.payments SET gateway_transaction_id = NULL WHERE order_id = :id", id=self.order_id)

    def find_the_id(self) -> None:
        """Cure the failure."""
        self.sql(
            "UPDATE payments.payments SET gateway_transaction_id = :pi WHERE order_id = :id",
            pi=self.intent["id"],
            id=self.order_id,
        )

    def hear(self, number: int) -> list[str]:
        """Send this many signed webhooks, and return the gateway's ids of their events."""
        intent = {name: value for name, value in self.intent.items() if name not in {"account", "charges", "refunds"}}
        names = [f"evt_{uuid.uuid4().hex}" for _ in range(number)]
        for name in names:
            body = json.dumps(
                {
                    "id": name,
                    "object": "event",
                    "type": "payment_intent.succeeded",
                    "created": int(datetime.now(UTC).timestamp()),
                    "livemode": False,
                    "data": {"object": intent | {"metadata": {}}},
                }
            ).encode()
            stamp = str(int(datetime.now(UTC).timestamp()))
            signature = hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
            headers = {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}
            assert self.city.system.shop is not None
            path = f"/v1/webhooks/stripe/{self.city.system.shop.endpoint_key}"
            heard = self.city.call("POST", path, body, token=None, headers=headers)
            assert heard.status == 200, heard.raw
        return names

    def events(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is stored of these events."""
        return self.sql(
            "SELECT id, organization_id, state, attempts, next_attempt_at - now() AS wait FROM payments.payment_events"
            " WHERE gateway_event_id = ANY(:names) ORDER BY id",
            names=list(names),
        )

    def turn_the_clock(self, names: Sequence[str]) -> None:
        """Make the next attempt due now, and announce the events to the worker."""
        self.sql(
            "UPDATE payments.payment_events SET next_attempt_at = now() - interval '1 second'"
            " WHERE gateway_event_id = ANY(:names) AND state = 'retry_scheduled'",
            names=list(names),
        )
        for event in self.events(names):
            message = {"organization_id": str(event["organization_id"]), "payment_event_id": str(event["id"])}
            self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(message))

    def fail_until_given_up(self, names: Sequence[str]) -> list[timedelta]:
        """Let the first attempt and five retries fail; return how long each retry would have waited."""
        waits: list[timedelta] = []
        for attempt in range(1, 7):
            self.city.wait_until(
                lambda tried=attempt: all(
                    event["attempts"] >= tried and event["state"] != "pending" and event["wait"] < timedelta(minutes=9)
                    for event in self.events(names)
                ),
                f"attempt {attempt}",
            )
            self.city.wait_until(
                lambda: {event["state"] for event in self.events(names)} <= {"retry_scheduled", "dead_lettered"},
                "the failure is on the record",
            )
            if attempt < 6:
                waits.append(max(event["wait"] for event in self.events(names)))
                self.turn_the_clock(names)
        self.city.wait_until(
            lambda: {(event["state"], event["attempts"]) for event in self.events(names)} == {("dead_lettered", 6)},
            "given up after six attempts",
        )
        return waits

    def letters(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the dead letters of these events as the API shows them."""
        rows = self.sql(
            "SELECT d.id FROM payments.dead_letters d JOIN payments.payment_events e ON e.id = d.event_id"
            " WHERE e.gateway_event_id = ANY(:names) ORDER BY d.id",
            names=list(names),
        )
        return [self.ask("GET", f"{LETTERS}/{row['id']}").body["dead_letter"] for row in rows]


def test_a_trouble_is_given_up_understood_cured_and_then_heals_itself_until_it_fails(city: City) -> None:
    trouble = Trouble(city)
    trouble.lose_the_id()
    names = trouble.hear(10)
    waits = trouble.fail_until_given_up(names)
    for wait, seconds in zip(waits, (30, 60, 120, 240, 480), strict=True):
        assert timedelta(seconds=seconds - 20) <= wait <= timedelta(seconds=seconds + 30)

    # Nobody knows the failure yet. It is urgent, and it is one failure however often it was met.
    letters = trouble.letters(names)
    assert {(each["status"], each["priority"]) for each in letters} == {("pending_classification", "critical")}
    assert len({each["fingerprint"] for each in letters}) == 1
    groups = trouble.ask("GET", "/v1/ops/dead-letter-groups").body["groups"]
    group = next(each for each in groups if each["fingerprint"] == letters[0]["fingerprint"])
    assert group["by_status"] == {"pending_classification": 10}
    assert trouble.intent["id"] in group["sample_reason"]

    # Somebody describes what it looks like, first tries what that would match, and then has it matched.
    known = {
        "class_name": f"lost gateway id {uuid.uuid4().hex[:6]}",
        "event_type": "capture_succeeded",
        "gateway_pattern": "stripe",
        "message_keywords": ["no payment here", trouble.intent["id"]],
        "auto_replay_delay_seconds": 0,
    }
    trial = trouble.ask("POST", f"{CLASSES}/test", known).body
    assert trial["matching"] == trial["moving"] == 10
    saved = trouble.ask("POST", CLASSES, known)
    assert (saved.status, saved.body["reclassified"]) == (201, 10)
    class_path = f"{CLASSES}/{saved.body['error_class']['id']}"
    assert {each["status"] for each in trouble.letters(names)} == {"pending_review"}
    early = trouble.ask("POST", f"{class_path}/auto-replay", {"enabled": True, "version": 1})
    assert (early.status, early.body["lacks"]) == (409, ["0 replays succeeded, 10 are needed"])

    # The cause is cured, and ten replays by hand prove that this class heals.
    trouble.find_the_id()
    results = trouble.ask("POST", f"{LETTERS}/replay", {"ids": [each["id"] for each in letters]}).body["results"]
    assert [each["status"] for each in results] == ["replayed"] * 10
    known_class = trouble.ask("GET", class_path).body["error_class"]
    assert (known_class["successful_replays"], known_class["confidence"]) == (10, 100.0)
    assert known_class["auto_replay_lacks"] == []
    switch = {"enabled": True, "version": known_class["version"]}
    assert trouble.ask("POST", f"{class_path}/auto-replay", switch).status == 200

    # The next one heals itself.
    trouble.lose_the_id()
    (next_name,) = trouble.hear(1)
    trouble.fail_until_given_up([next_name])
    trouble.find_the_id()
    city.wait_until(
        lambda: trouble.letters([next_name])[0]["status"] == "replayed", "it heals itself", seconds=TICK_SECONDS
    )
    (healed,) = trouble.letters([next_name])
    assert healed["was_auto_replayed"]
    assert [(step["action"], step["changed_by"]) for step in healed["history"]] == [
        ("dead_lettered", "system:payment_events"),
        ("replay_began", "system:dlq_retries"),
        ("replayed", "system:dlq_retries"),
    ]
    assert healed["event"]["state"] == "processed"

    # One that does not heal goes to a person, and its class cools down, so that the next one is not even tried.
    trouble.lose_the_id()
    (failing,) = trouble.hear(1)
    trouble.fail_until_given_up([failing])
    city.wait_until(lambda: trouble.letters([failing])[0]["replays"] == 1, "it is tried", seconds=TICK_SECONDS)
    city.wait_until(lambda: trouble.letters([failing])[0]["status"] == "pending_review", "it goes to a person")
    cooling = trouble.ask("GET", class_path).body["error_class"]
    assert (cooling["successful_replays"], cooling["failed_replays"], cooling["confidence"]) == (11, 1, 91.6)
    until = datetime.fromisoformat(cooling["cooldown_until"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=55) < until <= timedelta(hours=24)
    assert cooling["auto_replay_enabled"]
    (behind,) = trouble.hear(1)
    trouble.fail_until_given_up([behind])
    assert trouble.letters([behind])[0]["status"] == "pending_review"

    # A person has the last word on both.
    trouble.find_the_id()
    fingerprint = trouble.letters([behind])[0]["fingerprint"]
    rate = {"per_minute": 60, "max": 10}
    group_replay = trouble.ask("POST", f"/v1/ops/dead-letter-groups/{fingerprint}/replay", rate)
    assert group_replay.status == 202, group_replay.raw
    assert (group_replay.body["group_replay"]["state"], group_replay.body["group_replay"]["replayed"]) == (
        "finished",
        2,
    )
    order = city.call("GET", f"/v1/orders/{trouble.order_id}").body["order"]
    assert (order["status"], order["payment_status"]) == ("confirmed", "captured")
    assert city.violations() == []
