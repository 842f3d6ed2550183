"""A mail service that fails and senders that die: every mail leaves in the end, or a person is called."""

from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.notifications import deliver_message as delivering
from holdfast.flows.notifications.deliver_message import deliver_message
from holdfast.flows.notifications.resume_messages import REFUSED_IN_A_ROW_MAX
from holdfast.mail.port import Mail
from holdfast.notifications.retry_policy import ATTEMPTS_MAX, LEASE_SECONDS
from tests.flows.actions import Killed, ordered
from tests.flows.mailing import messages, notify, resume, statuses
from tests.house import House
from tests.mail.stage import Post


@pytest.fixture
def shop(house: House, post: Post) -> House:
    house.add_variant("TEE", stock=20)
    return house


# --- a service that fails -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["throttling", "over_quota", "down", "timeout_before"])
def test_what_the_service_refuses_for_now_is_sent_a_little_later(shop: House, post: Post, manner: str) -> None:
    ordered(shop)
    post.behaves(manner, times=1)
    notify(shop, "order.confirmed")
    (message,) = messages(shop)
    assert (message["status"], message["attempts"], message["sent_at"]) == ("pending", 1, None)
    assert (message["next_attempt_at"] - shop.clock()).total_seconds() == 60
    assert "ada" not in message["last_error"]
    notify(shop)
    assert resume(shop) == {}, "it is not due"
    shop.clock.advance(seconds=60)
    assert resume(shop) == {"sent": 1}
    assert len(post.mails()) == 1
    assert messages(shop)[0]["last_error"] is None
    assert shop.failures() == []


def test_what_the_service_rejects_calls_a_person_once(shop: House, post: Post) -> None:
    ordered(shop)
    post.behaves("rejecting")
    notify(shop)
    notify(shop)
    shop.clock.advance(days=2)
    assert resume(shop) == {}
    assert statuses(shop) == {"order_confirmed": "failed"}
    assert shop.failures() == ["MailNotSent"]
    details = shop.value("SELECT details FROM operations.process_failures")
    assert "order_confirmed" in details
    assert "ada" not in details


def test_a_service_that_never_gets_well_is_given_up_after_a_bounded_while(shop: House, post: Post) -> None:
    ordered(shop)
    post.behaves("down")
    notify(shop)
    delays = []
    for _ in range(ATTEMPTS_MAX - 1):
        (message,) = messages(shop)
        assert message["status"] == "pending"
        delays.append((message["next_attempt_at"] - shop.clock()).total_seconds())
        shop.clock.now = message["next_attempt_at"]
        resume(shop)
    assert delays == sorted(delays)
    assert statuses(shop) == {"order_confirmed": "failed"}
    assert (post.office.calls, shop.failures()) == (ATTEMPTS_MAX, ["MailNotSent"])


def test_a_service_that_takes_no_mail_of_ours_calls_a_person_and_loses_nothing(shop: House, post: Post) -> None:
    for _ in range(2):
        ordered(shop)
    post.behaves("paused")
    notify(shop)
    assert shop.failures() == ["MailService"]
    post.office.behaviors.clear()
    shop.clock.advance(seconds=61)
    assert resume(shop) == {"sent": 2}


def test_a_run_leaves_a_service_alone_that_refuses_again_and_again(shop: House, post: Post) -> None:
    post.behaves("down")
    for _ in range(REFUSED_IN_A_ROW_MAX + 2):
        ordered(shop)
    notify(shop)
    calls = post.office.calls
    shop.clock.advance(seconds=61)
    assert resume(shop) == {"pending": REFUSED_IN_A_ROW_MAX}
    assert post.office.calls == calls + REFUSED_IN_A_ROW_MAX


def test_an_answer_that_is_lost_may_send_twice_and_says_that_it_is_the_same_mail(shop: House, post: Post) -> None:
    ordered(shop)
    post.behaves("timeout_after", times=1)
    notify(shop)
    shop.clock.advance(seconds=61)
    resume(shop)
    first, second = post.mails()
    assert first.parsed["X-Holdfast-Message-Id"] == second.parsed["X-Holdfast-Message-Id"]
    assert messages(shop)[0]["provider_id"] == second.id


def test_a_mail_that_cannot_be_written_is_tried_again_and_then_given_to_a_person(
    shop: House, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug in a template")

    ordered(shop)
    with monkeypatch.context() as patch:
        patch.setattr(delivering, "letter_of", broken)
        notify(shop)
        assert statuses(shop) == {"order_confirmed": "pending"}
    shop.clock.advance(seconds=61)
    assert resume(shop) == {"sent": 1}


# --- a sender that dies ---------------------------------------------------------------------------------------------


class Deadly:
    """A mail service whose every caller dies."""

    def send(self, mail: Mail) -> Any:
        raise Killed


def test_a_sender_that_dies_is_taken_over_when_its_lease_is_over(shop: House, post: Post) -> None:
    ordered(shop)
    shop.system.__dict__["mail"] = Deadly()
    with pytest.raises(Killed):
        notify(shop)
    del shop.system.__dict__["mail"]
    assert statuses(shop) == {"order_confirmed": "sending"}
    notify(shop)
    assert resume(shop) == {}, "its lease is not over"
    shop.clock.advance(seconds=LEASE_SECONDS)
    assert resume(shop) == {"sent": 1}
    assert len(post.mails()) == 1


def test_a_mail_that_kills_every_sender_ends_with_a_person(shop: House, post: Post) -> None:
    ordered(shop)
    shop.system.__dict__["mail"] = Deadly()
    with pytest.raises(Killed):
        notify(shop)
    for _ in range(ATTEMPTS_MAX - 1):
        shop.clock.advance(seconds=LEASE_SECONDS)
        with pytest.raises(Killed):
            resume(shop)
    shop.clock.advance(seconds=LEASE_SECONDS)
    assert resume(shop) == {"failed": 1}
    assert shop.failures() == ["MailNotSent"]


def test_a_sender_that_comes_back_late_changes_nothing(shop: House, post: Post) -> None:
    ordered(shop)

    class Slow:
        def send(self, mail: Mail) -> Any:
            del shop.system.__dict__["mail"]
            shop.clock.advance(seconds=LEASE_SECONDS)
            assert resume(shop) == {"sent": 1}
            return shop.system.mail.send(mail)

    shop.system.__dict__["mail"] = Slow()
    notify(shop)
    (message,) = messages(shop)
    assert (message["status"], message["attempts"]) == ("sent", 2)
    assert message["provider_id"] == post.mails()[0].id


def test_a_mail_that_is_not_due_is_nobodys_to_send(shop: House) -> None:
    assert deliver_message(shop.system, shop.organization_id, UUID(int=1), shop.clock) is None
