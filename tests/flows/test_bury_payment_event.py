"""An event that is given up becomes a dead letter: nothing is dropped, and a person is called when it matters."""

import json
from typing import Any

import boto3
import pytest

from holdfast.flows.dead_letters import alert_dead_letters as alerting
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.dead_letter_record import REASON_MAX_CHARACTERS, reason_of
from holdfast.payments.retry_policy import RETRIES_MAX
from tests.flows.dead_lettering import (
    add_class,
    add_healing_class,
    break_events,
    buried,
    class_record,
    dead_letter_of,
    dead_letters,
    event_of,
    fail_until_given_up,
    paid_unheard,
    steps,
)
from tests.house import House


@pytest.fixture
def stocked(house: House) -> House:
    house.add_variant(stock=50)
    return house


class Bell:
    """Records the calls for a person, in order. It can be broken."""

    def __init__(self) -> None:
        self.rung: list[dict[str, Any]] = []
        self.is_broken = False

    def publish(self, subject: str, facts: dict[str, Any]) -> None:
        if self.is_broken:
            raise RuntimeError("nobody hears it")
        self.rung.append({"subject": subject, **facts})


@pytest.fixture
def bell(house: House) -> Bell:
    made = Bell()
    for runtime in (house.runtime, house.system):
        runtime.__dict__["alerts"] = made
    return made


def test_the_sixth_failure_makes_the_dead_letter_and_the_event_keeps_its_type_and_payload(stocked: House) -> None:
    event = paid_unheard(stocked)
    break_events(stocked)
    assert fail_until_given_up(stocked) == ["retry_scheduled"] * RETRIES_MAX + ["dead_lettered"]
    given_up = event_of(stocked, event["gateway_event_id"])
    assert (given_up["state"], given_up["attempts"]) == ("dead_lettered", RETRIES_MAX + 1)
    assert (given_up["event_type"], given_up["payload"]) == (event["event_type"], event["payload"])
    letter = dead_letter_of(stocked, event["id"])
    assert (letter["event_type"], letter["payload"], letter["attempts"]) == ("capture_succeeded", event["payload"], 6)
    assert letter["failure_reason"] == given_up["last_error"]
    assert letter["failure_reason"] == "ConstraintViolated: ledger_closed: The ledger is closed"
    assert (letter["failure_code"], letter["payment_id"]) == ("ledger_closed", event["payment_id"])
    assert steps(stocked, letter["id"]) == [("dead_lettered", "pending_classification", "system:payment_events")]
    assert stocked.violations() == []


def test_equal_troubles_have_one_fingerprint_and_others_another(stocked: House) -> None:
    one, other = buried(stocked), buried(stocked)
    event = paid_unheard(stocked)
    break_events(stocked, "vault_locked", only=event["gateway_event_id"])
    fail_until_given_up(stocked)
    third = dead_letter_of(stocked, event["id"])
    assert one["fingerprint"] == other["fingerprint"] != third["fingerprint"]


def test_the_first_class_that_matches_by_its_order_is_the_dead_letters(stocked: House) -> None:
    late = add_class(stocked, "late", match_order=30)
    add_class(stocked, "of another event", match_order=1, event_type="refund_failed")
    add_class(stocked, "of another gateway", match_order=2, gateway_pattern="pay%")
    add_class(stocked, "of another code", match_order=3, failure_code_pattern="ledger\\_")
    add_class(stocked, "of other words", match_order=4, message_keywords=["ledger", "open"])
    add_class(stocked, "not in use", match_order=5, active=False)
    early = add_class(stocked, "early", match_order=20, failure_code_pattern="led_er%", gateway_pattern="str_pe")
    buried(stocked)
    assert dead_letters(stocked) == [("pending_review", "critical", "early")]
    assert class_record(stocked, early)["last_seen_at"] is not None
    assert class_record(stocked, late)["last_seen_at"] is None


def test_a_class_that_heals_itself_schedules_the_replay_after_its_delay(stocked: House, bell: Bell) -> None:
    add_healing_class(stocked, auto_replay_delay_seconds=120)
    letter = buried(stocked)
    assert letter["status"] == "auto_replay_scheduled"
    assert (letter["replay_at"] - letter["created_at"]).total_seconds() == 120
    assert alert_dead_letters(stocked.system, stocked.clock) == 0
    assert bell.rung == []


def test_a_class_in_cooldown_leaves_its_dead_letters_to_people(stocked: House) -> None:
    until = stocked.clock.now.replace(year=stocked.clock.now.year + 1)
    add_healing_class(stocked, cooldown_until=until)
    assert buried(stocked)["status"] == "pending_review"


def test_what_is_urgent_and_does_not_heal_itself_is_alerted_once_with_nothing_personal(
    stocked: House, bell: Bell
) -> None:
    letter = buried(stocked)
    assert bell.rung == [
        {
            "subject": "Holdfast: critical dead letter, capture_succeeded of stripe",
            "alert": "dead_letter",
            "organization_id": str(stocked.organization_id),
            "dead_letter_id": str(letter["id"]),
            "priority": "critical",
            "status": "pending_classification",
            "event_type": "capture_succeeded",
            "gateway": "stripe",
            "failure_code": "ledger_closed",
            "fingerprint": letter["fingerprint"],
        }
    ]
    assert letter["alerted_at"] is not None
    assert alert_dead_letters(stocked.system, stocked.clock) == 0


def test_an_alert_that_could_not_be_sent_is_sent_by_the_schedule(stocked: House, bell: Bell) -> None:
    bell.is_broken = True
    letter = buried(stocked)
    assert (letter["status"], letter["alerted_at"], bell.rung) == ("pending_classification", None, [])
    with pytest.raises(RuntimeError, match="nobody"):
        alert_dead_letters(stocked.system, stocked.clock)
    bell.is_broken = False
    assert [alert_dead_letters(stocked.system, stocked.clock) for _ in range(2)] == [1, 0]
    assert len(bell.rung) == 1


def test_an_alert_that_can_never_be_sent_keeps_no_other_waiting(stocked: House, bell: Bell) -> None:
    bell.is_broken = True
    stuck, waiting = buried(stocked), buried(stocked)
    bell.is_broken = False
    stocked.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a lasting trouble'; END $$"
    )
    stocked.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON payments.dead_letters FOR EACH ROW"
        f" WHEN (NEW.id = '{stuck['id']}') EXECUTE FUNCTION public.refuse()"
    )
    with pytest.raises(Exception, match="a lasting trouble"):
        alert_dead_letters(stocked.system, stocked.clock)
    assert bell.rung[-1]["dead_letter_id"] == str(waiting["id"])
    assert stocked.value("SELECT alerted_at FROM payments.dead_letters WHERE id = :id", id=waiting["id"]) is not None


def test_the_schedule_sends_a_bounded_number_of_alerts_while_there_is_time(
    stocked: House, bell: Bell, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell.is_broken = True
    for _ in range(3):
        buried(stocked)
    bell.is_broken = False
    assert alert_dead_letters(stocked.system, stocked.clock, lambda: 0.0) == 0
    monkeypatch.setattr(alerting, "ALERTS_MAX", 2)
    assert [alert_dead_letters(stocked.system, stocked.clock) for _ in range(3)] == [2, 1, 0]


def test_an_alert_reaches_the_topic(stocked: House) -> None:
    topic = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    queue = boto3.client("sqs").create_queue(QueueName="heard")["QueueUrl"]
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])
    object.__setattr__(stocked.runtime.settings, "alert_topic_arn", topic)
    letter = buried(stocked)
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    heard = json.loads(message["Body"])
    assert heard["Subject"].startswith("Holdfast: critical dead letter")
    assert json.loads(heard["Message"])["dead_letter_id"] == str(letter["id"])


def test_without_a_topic_an_alert_is_in_the_log(stocked: House, caplog: pytest.LogCaptureFixture) -> None:
    letter = buried(stocked)
    assert letter["alerted_at"] is not None
    assert any("critical dead letter" in record.message for record in caplog.records)


def test_a_payload_that_cannot_be_read_skips_the_retries(stocked: House) -> None:
    event = paid_unheard(stocked)
    stocked.sql("UPDATE payments.payment_events SET news = '{}' WHERE id = :id", id=event["id"])
    assert stocked.work() == ["dead_lettered"]
    assert dead_letter_of(stocked, event["id"])["failure_reason"].startswith("InvalidInput: the stored event cannot be")


def test_the_reason_is_kept_in_a_form_that_the_database_holds() -> None:
    assert reason_of(ValueError("a\x00b\ud800c")) == "ValueError: a\ufffdb?c"
    assert len(reason_of(ValueError("long" * 1000))) == REASON_MAX_CHARACTERS
