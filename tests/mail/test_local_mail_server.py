"""The local mail service is as strict as the one it stands for, keeps what it accepted, and shows it safely."""

import base64
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.mail_server.mailbox import KEPT_MAX, Mailbox, StoredMail
from tests.mail.stage import Post, running_post

RAW = (
    b"From: Shop <orders@shop.example>\r\nTo: ada@example.com\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/html\r\n\r\n<html><head></head><body><script>alert(1)</script><a href='https://x.example'>x</a>"
    b"</body></html>\r\n"
)
HTTP = urllib3.PoolManager(retries=False)


def send(raw: bytes = RAW, **more: Any) -> Any:
    request = {
        "FromEmailAddress": "Shop <orders@shop.example>",
        "Destination": {"ToAddresses": ["ada@example.com"]},
        "Content": {"Raw": {"Data": raw}},
    }
    once = Config(retries={"total_max_attempts": 1})
    return boto3.client("sesv2", config=once).send_email(**(request | more))


def refused(raw: bytes = RAW, **more: Any) -> str:
    with pytest.raises(ClientError) as error:
        send(raw, **more)
    return str(error.value.response["Error"]["Code"])


def test_a_mail_is_kept_listed_and_shown_in_all_its_forms(post: Post) -> None:
    taken = send()["MessageId"]
    page = HTTP.request("GET", post.url)
    assert taken in page.data.decode()
    for form in ("html", "text", "raw"):
        answer = HTTP.request("GET", f"{post.url}/mails/{taken}?form={form}")
        assert answer.status == 200
        assert "<script>alert" not in answer.data.decode()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "sandbox=" in HTTP.request("GET", f"{post.url}/mails/{taken}").data.decode()
    frame = HTTP.request("GET", f"{post.url}/mails/{taken}/content")
    assert "sandbox" in frame.headers["Content-Security-Policy"]
    assert "allow-scripts" not in frame.headers["Content-Security-Policy"]
    assert '<base target="_blank">' in frame.data.decode()
    assert HTTP.request("GET", f"{post.url}/mails/nothing").status == 404


def test_what_was_taken_survives_the_server(tmp_path: Path) -> None:
    with running_post(tmp_path / "box"):
        taken = send()["MessageId"]
    with running_post(tmp_path / "box") as again:
        assert [mail.id for mail in again.mails()] == [taken]
        answer = HTTP.request("GET", f"{again.url}/_control/mails?to=ada@example.com")
        assert json.loads(answer.data)["mails"][0]["subject"] == "Hello"
        HTTP.request("DELETE", f"{again.url}/_control/mails")
        assert again.mails() == []
    assert list((tmp_path / "box").iterdir()) == []


def test_the_oldest_mails_go_when_there_are_too_many(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    for number in range(KEPT_MAX + 3):
        box.add(StoredMail(f"{number:06d}", "2026-11-30T00:00:00", "a@b.de", ["c@d.de"], None, {}, "From: a@b.de\n\nx"))
    kept = box.all()
    assert (len(kept), kept[-1].id) == (KEPT_MAX, "000003")
    assert len(list(tmp_path.iterdir())) == 2 * KEPT_MAX


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"Subject: no sender\r\n\r\nx", "BadRequestException"),
        (RAW.replace(b"Subject: Hello", b"Subject: Hello\r\nSubject: Again"), "BadRequestException"),
        (RAW.replace(b"<html>", b"x" * 999), "BadRequestException"),
        (RAW.replace(b"<html>", "ä".encode()), "BadRequestException"),
    ],
)
def test_a_message_the_service_would_not_take_is_refused(post: Post, raw: bytes, code: str) -> None:
    assert refused(raw) == code
    assert post.mails() == []


def test_calls_the_service_would_not_take_are_refused(post: Post) -> None:
    assert refused(Destination={"ToAddresses": []}) == "BadRequestException"
    assert refused(Destination={"ToAddresses": ["not an address"]}) == "BadRequestException"
    assert refused(Destination={"ToAddresses": ["ädä@example.com"]}) == "BadRequestException"
    assert refused(EmailTags=[{"Name": "with space", "Value": "x"}]) == "BadRequestException"
    unsigned = HTTP.request("POST", f"{post.url}/v2/email/outbound-emails", body=b"{}")
    assert (unsigned.status, unsigned.headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationTokenException")
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/ses/aws4_request"}
    for body in (b"not json", b'{"Content": {"Raw": {"Data": "%%%"}}}', b"[]", b'{"Content": {"Simple": {}}}'):
        assert HTTP.request("POST", f"{post.url}/v2/email/outbound-emails", body=body, headers=signed).status == 400
    strange = {"Content": {"Raw": {"Data": base64.b64encode(RAW).decode()}}, "Nonsense": 1}
    answer = HTTP.request("POST", f"{post.url}/v2/email/outbound-emails", json=strange, headers=signed)
    assert (answer.status, "Nonsense" in answer.data.decode()) == (400, True)
    assert post.mails() == []


def test_a_configuration_set_that_nobody_made_is_not_found(tmp_path: Path) -> None:
    with running_post(tmp_path, topics={"known": "arn:aws:sns:us-east-1:123456789012:topic"}):
        assert refused(ConfigurationSetName="unknown") == "NotFoundException"
        send(ConfigurationSetName="known")


def test_commands_are_for_so_many_calls_or_one_recipient(post: Post) -> None:
    post.behaves("throttling", times=2)
    assert [refused(), refused()] == ["TooManyRequestsException"] * 2
    send()
    post.behaves("rejecting", recipient="eve@example.com")
    send()
    assert refused(Destination={"ToAddresses": ["eve@example.com"]}) == "MessageRejected"
    assert HTTP.request("POST", f"{post.url}/_control/behaviors", json={"manner": "odd"}).status == 400
    HTTP.request("DELETE", f"{post.url}/_control/behaviors")
    send(Destination={"ToAddresses": ["eve@example.com"]})


@pytest.mark.parametrize(
    ("recipient", "kind"),
    [
        ("bounce@simulator.amazonses.com", "Bounce"),
        ("bounce+label@simulator.amazonses.com", "Bounce"),
        ("suppressionlist@simulator.amazonses.com", "Bounce"),
        ("complaint@simulator.amazonses.com", "Complaint"),
        ("success@simulator.amazonses.com", None),
        ("ada@example.com", None),
    ],
)
def test_the_simulators_addresses_are_told_of_over_their_topic(
    aws: str, tmp_path: Path, recipient: str, kind: str | None
) -> None:
    topic = boto3.client("sns").create_topic(Name="feedback")["TopicArn"]
    queue = boto3.client("sqs").create_queue(QueueName=f"feedback-{tmp_path.name}")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:feedback-{tmp_path.name}"
    attributes = {"RawMessageDelivery": "true"}
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    with running_post(tmp_path / "box", aws_url=aws, topics={"set": topic}):
        send(Destination={"ToAddresses": [recipient]}, ConfigurationSetName="set")
    told = boto3.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5 if kind else 0).get("Messages", [])
    assert [json.loads(message["Body"])["eventType"] for message in told] == ([kind] if kind else [])
