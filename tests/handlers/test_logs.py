"""What is logged: enough to follow a request, but nothing about a person, a card or a secret."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.web.telemetry import correlated, correlation_id, count
from local.sample_events import stripe_signature
from tests.handlers.door import ADDRESS, Door
from tests.premises import ROLE_PASSWORD

ROOT: Final = Path(__file__).parents[2]
CARD: Final = "4242 4242 4242 4242"
PERSON: Final = {
    "name": "Zebulon Quirk",
    "line1": "77 Unmistakable Lane",
    "postal_code": "80299",
    "phone": "+1 303 555 0177",
}
EMAIL: Final = "zebulon.quirk@private.example"
NOTES: Final = "the spare key is under the flamingo"
TOKEN: Final = "Bearer eyJhbGciOiJ.eyJzdWIiOiJ6ZWIifQ.c2lnbmF0dXJl"


@dataclass(frozen=True)
class Run:
    """Everything that a sandbox wrote, and what it answered."""

    written: str
    answers: list[Any]
    house: Any

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return our own log lines, which are one JSON document each."""
        lines = [line for line in self.written.splitlines() if line.startswith('{"level"')]
        return [json.loads(line) for line in lines]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return the embedded metrics."""
        return [json.loads(line) for line in self.written.splitlines() if line.startswith('{"_aws"')]


def request(door: Door, name: str, body: Any = None, **changes: Any) -> dict[str, Any]:
    event = door.sample(name, order_id="{ORDER}")
    event["requestContext"]["requestId"] = changes.pop("request_id", uuid.uuid4().hex)
    if "authorizer" in event["requestContext"]:
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= {"email": EMAIL}
        event["headers"]["authorization"] = TOKEN
    if body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    event["headers"] |= changes
    return event


def webhook(door: Door, event: dict[str, Any], *, secret: str) -> dict[str, Any]:
    body = json.dumps(event)
    signature = stripe_signature(body.encode(), secret=secret, now=datetime.now(UTC))
    sent = request(door, "payment_webhooks/stripe_payment_intent_succeeded", body)
    sent["headers"]["stripe-signature"] = signature
    return sent


def checkout(token: str) -> dict[str, Any]:
    return {
        "items": [{"sku": "TEE", "quantity": 1}],
        "email": EMAIL,
        "notes": NOTES,
        "shipping_address": ADDRESS | PERSON,
        "payment": {"gateway": "stripe", "token": token},
    }


def steps_of_a_whole_life(door: Door) -> list[tuple[str, dict[str, Any]]]:
    declined, paid = "pm_card_chargeDeclined", "pm_card_visa"
    stranger = {"id": "evt_9", "type": "payment_intent.succeeded", "created": 1_763_596_800, "receipt_email": EMAIL}
    stranger["data"] = {
        "object": {
            "id": "pi_9",
            "amount": 5,
            "amount_received": 5,
            "currency": "usd",
            "metadata": {},
            "shipping": ADDRESS | PERSON,
        }
    }
    first = request(door, "checkout/place_order", checkout(declined), request_id="the-first-request")
    return [
        ("checkout", first),
        ("checkout", request(door, "checkout/pay_again", {"payment": {"gateway": "stripe", "token": paid}})),
        ("checkout", request(door, "checkout/quote", {k: checkout(paid)[k] for k in ("items", "shipping_address")})),
        ("orders", request(door, "orders/list")),
        ("orders", request(door, "orders/find_by_id")),
        ("refunds", request(door, "refunds/refund_by_amount", {"reason": "other", "notes": NOTES})),
        ("orders", request(door, "orders/cancel", {"reason": NOTES})),
        ("checkout", request(door, "checkout/place_order", checkout(paid) | {"notes": f"pay with {CARD}"})),
        ("checkout", request(door, "checkout/place_order", checkout(paid) | {"surprise": NOTES})),
        ("checkout", request(door, "checkout/place_order", json.dumps(checkout(paid))[:-9])),
        ("payment_webhooks", webhook(door, stranger, secret=door.house.webhook_secret)),
        ("payment_webhooks", webhook(door, stranger, secret="whsec_wrong")),
    ]


@pytest.fixture(scope="module")
def run(shared_door: Door, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a shopper's whole story in one sandbox: declined, paid, viewed, cancelled, and a few mistakes."""
    return sandbox(shared_door, tmp_path_factory.mktemp("run"), steps_of_a_whole_life(shared_door))


def sandbox(door: Door, folder: Path, steps: list[tuple[str, dict[str, Any]]]) -> Run:
    path = folder / f"{uuid.uuid4().hex}.json"
    path.write_text(json.dumps([{"function": function, "event": event} for function, event in steps]))
    settings = door.house.runtime.settings
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'layers' / 'holdfast'}",
        "PYTHONWARNINGS": "error",
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        "LOG_LEVEL": "DEBUG",
        "DATABASE_HOST": settings.database.host,
        "DATABASE_PORT": str(settings.database.port),
        "DATABASE_NAME": settings.database.name,
        "DATABASE_PASSWORD": ROLE_PASSWORD,
        "DATABASE_AUTHENTICATION": "password",
        "DATABASE_TLS": "off",
        "STRIPE_BASE_URL": settings.stripe_base_url,
        "PAYMENT_EVENTS_QUEUE_URL": settings.payment_events_queue_url,
        "OUTBOX_BELL_QUEUE_URL": settings.payment_events_queue_url,
    }
    command = [sys.executable, str(Path(__file__).with_name("one_sandbox.py")), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return Run(done.stdout + done.stderr, json.loads(path.with_suffix(".answers").read_text()), door.house)


def test_a_whole_life_is_written_down_without_its_person_card_and_secrets(run: Run) -> None:
    statuses = [answer["statusCode"] for answer in run.answers]
    assert statuses == [402, 201, 200, 200, 200, 403, 200, 422, 422, 400, 200, 401]
    house = run.house
    unspeakable = [*PERSON.values(), EMAIL, NOTES, CARD, CARD.replace(" ", ""), TOKEN, TOKEN.removeprefix("Bearer ")]
    unspeakable += [house.api_key, house.webhook_secret, ROLE_PASSWORD, "pm_card_chargeDeclined", "pm_card_visa"]
    unspeakable += ["Denver", "Flamingo", "whsec_", "sk_test_", "Analytical"]
    assert [text for text in unspeakable if text.lower() in run.written.lower()] == []


def test_the_id_of_the_request_is_kept_with_what_it_caused(run: Run) -> None:
    (first,) = run.house.rows(
        "SELECT e.correlation_id FROM payments.payment_events e JOIN payments.payments p"
        " ON p.organization_id = e.organization_id AND p.id = e.payment_id WHERE p.attempt = 1"
    )
    assert first["correlation_id"] == "the-first-request"
    assert run.house.value("SELECT count(*) FROM payments.payment_events WHERE correlation_id IS NULL") == 0


def test_every_metric_is_one_that_cloudwatch_reads(run: Run) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    assert {metric["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for metric in run.metrics} == {
        "AddressLookups",
        "AddressesNotFound",
        "CheckoutAnswered",
        "WebhookEventsStored",
        "WebhookSignatureInvalid",
        "WebhooksRefused",
        "WebhooksRefusedBy",
    }
    for metric in run.metrics:
        well_formed(metric)


def well_formed(metric: dict[str, Any]) -> None:
    now = datetime.now(UTC).timestamp() * 1000
    assert isinstance(metric["_aws"]["Timestamp"], int)
    assert abs(now - metric["_aws"]["Timestamp"]) < 120_000
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Holdfast/local"
    for dimensions in directive["Dimensions"]:
        assert len(dimensions) <= 30
        for name in dimensions:
            assert isinstance(metric[name], str)
            assert 1 <= len(metric[name]) <= 1024
    for definition in directive["Metrics"]:
        assert definition["Unit"] == "Count"
        assert all(isinstance(value, float | int) for value in metric[definition["Name"]])


def test_a_count_is_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    count("First", Gateway="stripe")
    count("Second", 0)
    count("Third", 2.5, A="1", B="2")
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [metric.get("First") or metric.get("Second") or metric.get("Third") for metric in metrics] == [
        [1.0],
        [0.0],
        [2.5],
    ]
    for metric in metrics:
        well_formed(metric)


def test_a_count_belongs_to_its_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two environments may share an account, and what one counts must not calm the alarms of the other."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Holdfast/prod")
    count("DeadLettersOpen", 1, Priority="critical")
    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Holdfast/prod"


def test_what_is_not_done_is_logged_under_the_request(door: Door, tmp_path: Path) -> None:
    door.house.sql("UPDATE tenancy.gateway_accounts SET secret_reference = 'holdfast/lost'")
    sent = webhook(door, {"id": "evt_1"}, secret="whsec_wrong")
    sent["requestContext"]["requestId"] = "request-7"
    run = sandbox(door, tmp_path, [("payment_webhooks", sent)])
    assert [answer["statusCode"] for answer in run.answers] == [503]
    (line,) = run.log
    assert (line["level"], line["correlation_id"], line["service"]) == ("WARNING", "request-7", "holdfast")
    assert "holdfast/lost" in line["message"]


def test_a_bug_is_logged_without_its_parameters(door: Door, tmp_path: Path) -> None:
    door.house.add_variant("TEE", stock=10)
    door.house.sql("ALTER TABLE orders.orders ADD CONSTRAINT surprise CHECK (email = '') NOT VALID")
    sent = request(door, "checkout/place_order", checkout("pm_card_visa"))
    run = sandbox(door, tmp_path, [("checkout", sent)])
    assert run.answers == [{"error": "ConstraintViolated"}]
    assert "surprise" in run.written
    for text in (*PERSON.values(), EMAIL, NOTES, "pm_card_visa"):
        assert text not in run.written


def test_ids_of_requests_nest_and_end() -> None:
    with correlated("outer"):
        with correlated("inner"):
            assert correlation_id() == "inner"
        assert correlation_id() == "outer"
    assert correlation_id() is None
