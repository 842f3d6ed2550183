"""The functions for mail: the sender, the feedback of the mail service, and what the operations team does."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from holdfast.notifications.occasions import KIND_OF_TOPIC
from holdfast.runtime import use
from local.mail_server.feedback import event_of
from tests.architecture.template import TEMPLATE
from tests.archive.traces import left_of
from tests.flows.actions import ordered
from tests.flows.mailing import messages, notify, resume
from tests.handlers.door import Door, Reply
from tests.handlers.test_workers import failed, metrics
from tests.mail.stage import Post

SAMPLE_MAIL = "01930000-0000-7000-8000-0000000f1001"
SAMPLE_SUPPRESSION = "01930000-0000-7000-8000-0000000f2001"


@pytest.fixture
def shop(door: Door, post: Post) -> Door:
    door.house.add_variant("TEE", stock=20)
    return door


def mailed(shop: Door) -> str:
    """Send a mail and return its id."""
    ordered(shop.house)
    notify(shop.house)
    return str(messages(shop.house)[-1]["id"])


def bounced(shop: Door, post: Post, fate: str = "bounced") -> dict[str, Any]:
    """Return the event in which the queue reports this fate of the last mail."""
    event = shop.sample("mail_feedback/bounce")
    event["Records"][0]["body"] = json.dumps(event_of(post.mails()[-1], fate))
    return event


def ask(shop: Door, route: str, body: Any = None, *, role: str = "manager", **how: Any) -> Reply:
    return shop.ask(route, body, who=shop.staff(role), **how)


# --- the sender -----------------------------------------------------------------------------------------------------


def test_an_event_of_the_bus_becomes_a_mail_however_often_it_comes(
    shop: Door, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = ordered(shop.house)
    event = shop.sample("notifications/order_confirmed", order_id=order_id)
    for _ in range(2):
        assert failed(shop.invoke("notifications", event)) == []
    assert len(post.mails()) == 1
    written = capsys.readouterr().out
    assert '"Status":"sent"' in written
    assert "ada@example.com" not in written


def test_a_message_that_is_not_json_comes_again_and_keeps_no_mail_waiting(shop: Door, post: Post) -> None:
    order_id = ordered(shop.house)
    event = shop.sample("notifications/one_message_is_not_json", order_id=order_id)
    assert failed(shop.invoke("notifications", event)) == ["0f6f1d6e-6f2c-4b0e-9a55-3d1c5a7ba002"]
    assert len(post.mails()) == 1


def test_a_recorded_failure_needs_no_other_delivery_and_the_tick_sends_it(
    shop: Door, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = ordered(shop.house)
    post.behaves("throttling", times=1)
    assert failed(shop.invoke("notifications", shop.sample("notifications/order_confirmed", order_id=order_id))) == []
    assert '"Status":"pending"' in capsys.readouterr().out
    shop.house.sql("UPDATE notifications.messages SET next_attempt_at = now() - interval '1 second'")
    assert shop.invoke("notifications", shop.sample("notifications/tick")) == {"sent": 1}
    assert len(post.mails()) == 1


def test_what_the_alarms_count_is_counted(shop: Door, post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    order_id = ordered(shop.house)
    post.behaves("rejecting", times=1)
    shop.invoke("notifications", shop.sample("notifications/order_confirmed", order_id=order_id))
    assert '"Status":"failed"' in capsys.readouterr().out
    mailed(shop)
    shop.invoke("mail_feedback", bounced(shop, post))
    out = capsys.readouterr().out
    assert '"Kind":"bounced"' in out
    alarms = {name: TEMPLATE.resources[name]["Properties"] for name in ("MailsFailedAlarm", "MailsRefusedAlarm")}
    assert [alarm["Dimensions"][0]["Value"] for alarm in alarms.values()] == ["failed", "pending"]
    assert {name for name, _, _ in metrics(capsys)} == set()


def test_a_deployment_without_a_sender_keeps_mails_and_says_why(shop: Door) -> None:
    object.__setattr__(shop.house.system.settings, "mail_sender_address", "")
    ordered(shop.house)
    notify(shop.house)
    assert messages(shop.house)[0]["status"] == "pending"
    assert "ValueError" in messages(shop.house)[0]["last_error"]


def test_an_event_given_up_is_in_the_inbox_of_its_organization(shop: Door) -> None:
    body = shop.sample("notifications/order_confirmed")["Records"][0]["body"]
    event = shop.sample("dead_letter_queues/three_given_up")
    arn = "arn:aws:sqs:us-east-1:123456789012:holdfast-dev-NotificationsDeadLetterQueue"
    event["Records"] = [event["Records"][0] | {"body": body, "eventSourceARN": arn}]
    assert failed(shop.invoke("dead_letter_queues", event)) == []
    assert shop.house.failures() == ["MessageGivenUp"]
    queue = shop.house.value("SELECT payload ->> 'queue' FROM operations.process_failures")
    assert queue == "holdfast-dev-NotificationsDeadLetterQueue"


def test_feedback_given_up_is_in_the_inbox_of_its_shop_and_names_nobody(shop: Door, post: Post) -> None:
    mailed(shop)
    event = shop.sample("dead_letter_queues/three_given_up")
    body = bounced(shop, post)["Records"][0]["body"]
    assert "ada@example.com" in body
    event["Records"] = [event["Records"][0] | {"body": body}]
    assert failed(shop.invoke("dead_letter_queues", event)) == []
    [failure] = shop.house.rows("SELECT * FROM operations.process_failures")
    assert failure["organization_id"] == shop.house.organization_id
    kept = json.loads(failure["payload"]["body"])
    assert (kept["eventType"], kept["bounce"]["bounceType"]) == ("Bounce", "Permanent")
    message_id = shop.house.value("SELECT id::text FROM notifications.messages")
    assert kept["mail"]["tags"]["holdfast_message"] == [message_id]
    assert "operations.process_failures" not in left_of(shop.house, re.compile("ada@example"))


# --- the feedback of the mail service ---------------------------------------------------------------------------


@pytest.mark.parametrize(("fate", "reason"), [("bounced", "bounce"), ("complained", "complaint")])
def test_a_bounce_and_a_complaint_are_recorded_once_and_stop_mail(
    shop: Door, post: Post, fate: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mailed(shop)
    event = bounced(shop, post, fate)
    for _ in range(2):
        assert failed(shop.invoke("mail_feedback", event)) == []
    assert "ada@example.com" not in capsys.readouterr().out
    page = ask(shop, "GET /v1/ops/mail-suppressions")
    assert [(row["address"], row["reason"]) for row in page.body["suppressions"]] == [("ada@example.com", reason)]


@pytest.mark.parametrize("name", ["mail_feedback/bounce", "mail_feedback/complaint"])
def test_the_samples_tell_of_a_mail_that_is_not_here(shop: Door, name: str) -> None:
    assert failed(shop.invoke("mail_feedback", shop.sample(name))) == []
    assert shop.house.value("SELECT count(*) FROM notifications.suppressions") == 0


def test_what_the_service_publishes_when_it_is_set_up_is_no_news(
    shop: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed(shop.invoke("mail_feedback", shop.sample("mail_feedback/topic_validated"))) == []
    (counted,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert (counted["MailFeedback"], counted["Kind"]) == ([1.0], "none")


def test_news_that_cannot_be_read_comes_again(shop: Door) -> None:
    event = shop.sample("mail_feedback/bounce")
    for body in ("{}", "not json"):
        event["Records"][0]["body"] = body
        assert failed(shop.invoke("mail_feedback", event)) == [event["Records"][0]["messageId"]]


# --- what the operations team does ------------------------------------------------------------------------------


def test_the_samples_list_send_again_and_lift(shop: Door, post: Post) -> None:
    mail_id = mailed(shop)
    manager = shop.staff("manager")

    def sample(name: str) -> Reply:
        event = shop.sample(name)
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= manager
        text = json.dumps(event).replace(SAMPLE_MAIL, mail_id)
        if post.mails() and shop.house.value("SELECT count(*) FROM notifications.suppressions"):
            suppression = shop.house.value("SELECT id FROM notifications.suppressions")
            text = text.replace(SAMPLE_SUPPRESSION, str(suppression))
        return shop.send(json.loads(text))

    listed = sample("mails/list")
    assert [(row["id"], row["status"], row["kind"]) for row in listed.body["mails"]] == [
        (mail_id, "sent", "order_confirmed")
    ]
    again = sample("mails/resend")
    assert (again.status, again.body["mail"]["status"], again.body["mail"]["resends"]) == (201, "pending", 1)
    assert sample("mails/resend").raw == again.raw, "the same key, the same answer"
    shop.house.clock.advance(seconds=5)
    assert resume(shop.house) == {"sent": 1}
    assert len(post.mails()) == 2
    shop.invoke("mail_feedback", bounced(shop, post))
    assert len(sample("mails/suppressions").body["suppressions"]) == 1
    lifted = sample("mails/lift")
    assert (lifted.status, lifted.body["suppression"]["lifted_by"]) == (201, f"staff:{manager['sub']}")
    assert sample("mails/lift").raw == lifted.raw


def test_mails_are_found_by_order_and_status_and_paged(shop: Door) -> None:
    first = ordered(shop.house)
    notify(shop.house)
    for _ in range(2):
        ordered(shop.house)
    notify(shop.house)
    route = "GET /v1/ops/mails"
    assert [row["order_id"] for row in ask(shop, route, query={"order_id": first}).body["mails"]] == [first]
    assert ask(shop, route, query={"status": "failed"}).body == {"mails": [], "next_before": None}
    page = ask(shop, route, query={"limit": "2"}).body
    rest = ask(shop, route, query={"limit": "2", "before": page["next_before"]}).body
    assert [len(page["mails"]), len(rest["mails"]), rest["next_before"]] == [2, 1, None]
    assert ask(shop, route, query={"status": "odd"}).status == 422


def test_a_mail_is_not_sent_again_while_it_waits_or_to_an_address_that_takes_none(shop: Door, post: Post) -> None:
    mail_id = mailed(shop)
    route = "POST /v1/ops/mails/{mail_id}/resend"
    assert ask(shop, route, {}, mail_id=str(uuid4())).status == 404
    assert ask(shop, route, {}, mail_id=mail_id).status == 201
    assert ask(shop, route, {}, mail_id=mail_id).status == 409
    shop.house.clock.advance(seconds=5)
    resume(shop.house)
    shop.invoke("mail_feedback", bounced(shop, post))
    refused = ask(shop, route, {}, mail_id=mail_id)
    assert (refused.status, "suppression" in refused.body["detail"]) == (409, True)
    shop.house.sql("UPDATE orders.orders SET email = 'new@example.com'")
    assert ask(shop, route, {}, mail_id=mail_id).status == 201
    shop.house.clock.advance(seconds=5)
    resume(shop.house)
    assert post.mails()[-1].recipients == ["new@example.com"]


def test_what_people_do_is_in_the_audit_log_and_no_address_is(shop: Door, post: Post) -> None:
    mail_id = mailed(shop)
    shop.invoke("mail_feedback", bounced(shop, post))
    (suppression,) = ask(shop, "GET /v1/ops/mail-suppressions").body["suppressions"]
    lift = "POST /v1/ops/mail-suppressions/{suppression_id}/lift"
    assert ask(shop, lift, {"reason": "x"}, suppression_id=suppression["id"]).status == 422
    assert ask(shop, lift, {"reason": "it works again"}, suppression_id=suppression["id"]).status == 201
    assert ask(shop, lift, {"reason": "it works again"}, suppression_id=suppression["id"]).status == 409
    assert ask(shop, lift, {"reason": "it works again"}, suppression_id=str(uuid4())).status == 404
    assert ask(shop, "POST /v1/ops/mails/{mail_id}/resend", {}, mail_id=mail_id).status == 201
    rows = shop.house.rows(
        "SELECT table_name, actor, changed_values::text FROM operations.audit_log"
        " WHERE table_name LIKE 'notifications.%' ORDER BY id"
    )
    assert {row["table_name"] for row in rows} == {"notifications.suppressions", "notifications.messages"}
    assert all(row["actor"].startswith("staff:") for row in rows)
    assert "example.com" not in repr([dict(row) for row in rows])


@pytest.mark.parametrize("role", ["member", "viewer", None])
def test_the_operations_are_for_managers(shop: Door, role: str | None) -> None:
    mail_id = mailed(shop)
    who = shop.staff(role)
    assert shop.ask("GET /v1/ops/mails", who=who).status == 403
    assert shop.ask("GET /v1/ops/mail-suppressions", who=who).status == 403
    assert shop.ask("POST /v1/ops/mails/{mail_id}/resend", {}, who=who, mail_id=mail_id).status == 403


def test_the_timeline_of_an_order_shows_its_mails_without_their_addresses(shop: Door) -> None:
    order_id = ordered(shop.house)
    notify(shop.house)
    reply = ask(shop, "GET /v1/ops/orders/{reference}/timeline", reference=order_id)
    assert [entry["what"] for entry in reply.body["entries"] if entry["kind"] == "mail"] == ["order_confirmed sent"]
    assert "ada@example.com" not in reply.raw


def test_a_checkout_says_in_which_language_the_shopper_reads(shop: Door, post: Post) -> None:
    from tests.handlers.door import checkout_body  # noqa: PLC0415

    assert shop.ask("POST /v1/checkout", checkout_body(language="de-AT")).status == 201
    assert shop.ask("POST /v1/checkout", checkout_body(language="german")).status == 422
    notify(shop.house)
    assert ["ist bestätigt" in subject for subject in post.subjects()] == [True]


# --- what the template says ---------------------------------------------------------------------------------------


def test_the_rule_lets_through_what_shoppers_are_told_and_nothing_else() -> None:
    pattern = TEMPLATE.resources["ShopperNewsRule"]["Properties"]["EventPattern"]
    assert pattern["source"] == ["holdfast"]
    assert sorted(pattern["detail-type"]) == sorted(KIND_OF_TOPIC)


def test_only_the_sender_of_mails_carries_and_imports_the_template_engine() -> None:
    root = Path(__file__).parents[2]
    carriers = [path.parent.name for path in root.glob("functions/*/requirements.txt") if "jinja2" in path.read_text()]
    assert carriers == ["notifications"]
    importers = [path.name for path in (root / "layers").rglob("*.py") if "import jinja2" in path.read_text()
                 or "from jinja2" in path.read_text()]  # fmt: skip
    assert importers == ["rendering.py"]


def test_the_bus_of_the_emulation_delivers_what_the_rule_says(shop: Door) -> None:
    """It is wired with the template's rule, as the local system does it."""
    queue = boto3.client("sqs").create_queue(QueueName=f"news-{uuid4().hex}")
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue["QueueUrl"], AttributeNames=["QueueArn"])
    pattern = TEMPLATE.resources["ShopperNewsRule"]["Properties"]["EventPattern"]
    events = boto3.client("events")
    events.put_rule(Name="news", EventBusName=shop.house.bus, EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="news", EventBusName=shop.house.bus, Targets=[target])
    ordered(shop.house)
    shop.invoke("outbox_relay", shop.sample("outbox_relay/bell"))
    got = boto3.client("sqs").receive_message(QueueUrl=queue["QueueUrl"], MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["detail-type"] for message in got] == ["order.confirmed"]
    use(None)
