"""The adapter for Amazon SES against a server that shares no code with it, and against botocore's own model."""

import email
import email.policy
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from typing import Any
from uuid import UUID

import botocore.session
import pytest
from botocore.validate import ParamValidator

from holdfast.mail import ses
from holdfast.mail.mime import AddressUnusable, compose, mailbox, wire_address
from holdfast.mail.port import Mail, NotAllowed, Rejected, Sent, TryAgain
from holdfast.mail.ses import SimpleEmailService, outcome_of
from holdfast.mail.ses_feedback import read_feedback
from holdfast.notifications.model import Feedback
from local.mail_server.feedback import event_of
from tests.mail.stage import Post
from tests.premises import SENDER

ORGANIZATION = UUID("01930000-0000-7000-8000-000000000001")
MESSAGE = UUID("01930000-0000-7000-8000-0000000f1001")
MAIL = Mail(
    organization_id=ORGANIZATION,
    message_id=MESSAGE,
    sender_name="Demo Shop",
    recipient="ada@example.com",
    subject="Ihre Bestellung ist bestätigt",
    text="Guten Tag,\n\n€ 12\n",
    html="<!doctype html><html><head></head><body><p>Guten Tag, € 12</p></body></html>",
    language="de",
    written_at=datetime(2026, 11, 30, 12, tzinfo=UTC),
    reply_to="help@shop.example",
)


@pytest.fixture
def service(post: Post, monkeypatch: pytest.MonkeyPatch) -> SimpleEmailService:
    monkeypatch.setattr(ses, "READ_TIMEOUT_SECONDS", 1)
    return SimpleEmailService(SENDER, "holdfast-test")


def test_a_mail_arrives_whole(post: Post, service: SimpleEmailService) -> None:
    outcome = service.send(MAIL)
    (mail,) = post.mails()
    assert outcome == Sent(mail.id)
    assert mail.recipients == ["ada@example.com"]
    assert mail.subject == MAIL.subject
    assert mail.body("plain") == MAIL.text
    assert "€ 12" in (mail.body("html") or "")
    assert mail.configuration_set == "holdfast-test"
    assert mail.tags == {"holdfast_organization": str(ORGANIZATION), "holdfast_message": str(MESSAGE)}
    headers = mail.parsed
    assert str(headers["From"]) == "Demo Shop <orders@shop.example>"
    assert str(headers["Reply-To"]) == "help@shop.example"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["Content-Language"] == "de"


def test_every_attempt_is_the_same_mail_and_says_so(post: Post, service: SimpleEmailService) -> None:
    service.send(MAIL)
    service.send(MAIL)
    first, second = post.mails()
    assert first.parsed["X-Holdfast-Message-Id"] == second.parsed["X-Holdfast-Message-Id"] == str(MESSAGE)
    raw = email.message_from_bytes(compose(MAIL, SENDER), policy=email.policy.default)
    assert raw["Message-ID"] == f"<{MESSAGE}@shop.example>"


def test_the_service_puts_its_own_message_id_over_ours(post: Post, service: SimpleEmailService) -> None:
    """Amazon SES does the same, which is why the mail carries a header of our own."""
    service.send(MAIL)
    assert "@email.amazonses.com>" in post.mails()[0].parsed["Message-ID"]


def test_the_request_is_what_botocore_says_the_service_takes(service: SimpleEmailService) -> None:
    shape = botocore.session.get_session().get_service_model("sesv2").operation_model("SendEmail").input_shape
    assert not ParamValidator().validate(service.request_for(MAIL), shape).has_errors()


def test_every_error_of_the_service_has_an_outcome() -> None:
    operation = botocore.session.get_session().get_service_model("sesv2").operation_model("SendEmail")
    found = {}
    for shape in operation.error_shapes:
        status = shape.metadata["error"]["httpStatusCode"]
        response = {"Error": {"Code": shape.name}, "ResponseMetadata": {"HTTPStatusCode": status}}
        found[shape.name] = type(outcome_of(response))
    assert found == {
        "TooManyRequestsException": TryAgain,
        "LimitExceededException": TryAgain,
        "AccountSuspendedException": NotAllowed,
        "SendingPausedException": NotAllowed,
        "MailFromDomainNotVerifiedException": NotAllowed,
        "NotFoundException": NotAllowed,
        "MessageRejected": Rejected,
        "BadRequestException": Rejected,
    }


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@b.c",
            NotAllowed,
        ),
        ('Email address not verified "a@b.c"', NotAllowed),
        ("Email Address Is Not Verified.", NotAllowed),
        ("Address blacklisted.", Rejected),
        ("", Rejected),
        (None, Rejected),
    ],
)
def test_an_identity_that_is_not_verified_is_no_verdict_on_the_mail(words: str | None, outcome: type) -> None:
    error = {"Code": "MessageRejected", **({} if words is None else {"Message": words})}
    said = outcome_of({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}})
    assert type(said) is outcome
    assert "a@b.c" not in repr(said)


@pytest.mark.parametrize(
    ("manner", "outcome", "is_taken"),
    [
        ("throttling", TryAgain, False),
        ("over_quota", TryAgain, False),
        ("down", TryAgain, False),
        ("timeout_before", TryAgain, False),
        ("timeout_after", TryAgain, True),
        ("garbled", TryAgain, True),
        ("rejecting", Rejected, False),
        ("paused", NotAllowed, False),
        ("unverified", NotAllowed, False),
        ("lapsed", NotAllowed, False),
    ],
)
def test_whatever_the_service_does_is_one_of_the_outcomes(
    post: Post, service: SimpleEmailService, manner: str, outcome: type, is_taken: bool
) -> None:
    post.behaves(manner, times=1)
    assert isinstance(service.send(MAIL), outcome)
    assert len(post.mails()) == is_taken
    assert post.office.calls == 1, "it asks once: retries are the caller's"
    assert isinstance(service.send(MAIL), Sent)


def test_a_service_that_does_not_answer_is_not_waited_for(post: Post, service: SimpleEmailService) -> None:
    post.behaves("slow", delay_seconds=30)
    assert service.send(MAIL) == TryAgain("Amazon SES: ReadTimeoutError")


def test_a_service_that_is_not_there_is_tried_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1")
    assert SimpleEmailService(SENDER, "").send(MAIL) == TryAgain("Amazon SES: EndpointConnectionError")


def test_no_outcome_repeats_an_address(post: Post, service: SimpleEmailService) -> None:
    for manner in ("rejecting", "paused", "lapsed", "throttling", "down"):
        post.behaves(manner, times=1)
        said = repr(service.send(MAIL))
        assert "ada" not in said
        assert SENDER not in said
    assert "ädä" not in repr(service.send(replace(MAIL, recipient="ädä@example.com")))


# --- headers and addresses ------------------------------------------------------------------------------------------


def headers_of(mail: Mail) -> Any:
    return email.message_from_bytes(compose(mail, SENDER), policy=email.policy.default)


@pytest.mark.parametrize("injected", ["\r\nBcc: eve@example.com", "\nX-Evil: 1", "\u2028Bcc: eve@example.com", "\x00"])
def test_nothing_breaks_out_of_a_header(injected: str) -> None:
    mail = replace(MAIL, subject=f"Hello{injected}", sender_name=f"Shop{injected}")
    parsed = headers_of(mail)
    assert parsed["Bcc"] is None
    assert parsed["X-Evil"] is None
    assert parsed["Subject"].startswith("Hello ") or parsed["Subject"] == "Hello"


@pytest.mark.parametrize("name", ['Demo "Quotes" Shop', "Bäckerei Müller", "A, B; C <x@y.example>", "日本のお店", ""])
def test_the_name_of_a_shop_stays_what_it_is(name: str, post: Post, service: SimpleEmailService) -> None:
    assert isinstance(service.send(replace(MAIL, sender_name=name)), Sent)
    (address,) = post.mails()[0].parsed["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, SENDER)
    assert mailbox(name, SENDER).isascii() or name


def test_a_domain_in_other_letters_is_written_in_ascii(post: Post, service: SimpleEmailService) -> None:
    assert isinstance(service.send(replace(MAIL, recipient="ada@bücher.example")), Sent)
    assert post.mails()[0].recipients == ["ada@xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "address", ["ädä@example.com", "ada", "ada@localhost", "a b@example.com", "ada@exa mple.com", "x" * 250 + "@a.de"]
)
def test_an_address_no_mail_can_be_sent_to_is_rejected_without_asking(
    post: Post, service: SimpleEmailService, address: str
) -> None:
    with pytest.raises(AddressUnusable):
        wire_address(address)
    assert isinstance(service.send(replace(MAIL, recipient=address)), Rejected)
    assert post.office.calls == 0


def test_very_long_texts_stay_within_what_mail_allows() -> None:
    raw = compose(replace(MAIL, text="x" * 20_000, html="<p>" + "y" * 20_000 + "</p>", subject="S" * 2_000), SENDER)
    assert raw.isascii()
    assert max(len(line) for line in raw.splitlines()) <= 998


def test_words_that_are_not_ascii_are_split_into_encoded_words_and_ids_never_fold() -> None:
    name, subject = "Überraschungen für " * 5, "Bestätigung für 北京 🛒 " * 9
    raw = compose(replace(MAIL, sender_name=name, subject=subject), f"orders@{'a' * 60}.example")
    head = raw.partition(b"\r\n\r\n")[0]
    assert f"\r\nMessage-ID: <{MESSAGE}@{'a' * 60}.example>\r\n".encode() in head
    words = re.findall(rb"=\?utf-8\?[bq]\?[^?]*\?=", head)
    assert len(words) > 4
    assert max(map(len, words)) <= 75
    # This uses Python's older parser, since the newer one keeps the folds between the words of a name.
    told = email.message_from_bytes(raw)
    assert str(make_header(decode_header(told["Subject"]))) == subject.strip()
    assert str(make_header(decode_header(told["From"]))) == f"{name.strip()} <orders@{'a' * 60}.example>"


# --- feedback -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "feedback"),
    [
        ("bounced", Feedback.BOUNCED),
        ("suppressed", Feedback.BOUNCED),
        ("bounced_for_now", Feedback.BOUNCED_FOR_NOW),
        ("complained", Feedback.COMPLAINED),
    ],
)
def test_an_event_is_read_for_whose_mail_it_is_about(
    post: Post, service: SimpleEmailService, fate: str, feedback: Feedback
) -> None:
    service.send(MAIL)
    event = json.loads(json.dumps(event_of(post.mails()[0], fate)))
    told = read_feedback(event)
    assert told is not None
    assert (told.organization_id, told.message_id, told.feedback) == (ORGANIZATION, MESSAGE, feedback)
    assert told.addresses == ("ada@example.com",)
    assert told.told_at.tzinfo is not None


def test_events_that_tell_nothing_of_ours_are_passed_over(post: Post, service: SimpleEmailService) -> None:
    service.send(MAIL)
    event = event_of(post.mails()[0], "complained")
    assert event is not None
    assert read_feedback({**event, "eventType": "Delivery"}) is None
    assert read_feedback({**event, "mail": {**event["mail"], "tags": {}}}) is None
    happy = {**event, "complaint": {**event["complaint"], "complaintFeedbackType": "not-spam"}}
    assert read_feedback(happy) is None
    with pytest.raises(KeyError):
        read_feedback({"mail": {}})
