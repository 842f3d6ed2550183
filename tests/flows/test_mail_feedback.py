"""An address whose mail bounces or is complained about is suppressed, once, until a person says otherwise."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.flows.notifications.record_feedback import record_feedback
from local.mail_server.feedback import event_of
from tests.flows.actions import at_once, ordered
from tests.flows.mailing import messages, notify, resume
from tests.house import House
from tests.mail.stage import Post


@pytest.fixture
def shop(house: House, post: Post) -> House:
    house.add_variant("TEE", stock=20)
    return house


def told(post: Post, fate: str) -> dict[str, Any]:
    """Return the event by which the mail service reports the fate of the last mail."""
    event: dict[str, Any] = json.loads(json.dumps(event_of(post.mails()[-1], fate)))
    return event


def suppressions(house: House) -> list[Mapping[str, Any]]:
    return list(house.rows("SELECT * FROM notifications.suppressions WHERE organization_id = :o ORDER BY id",
                           o=house.organization_id))  # fmt: skip


@pytest.mark.parametrize(
    ("fate", "feedback", "reason"),
    [("bounced", "bounced", "bounce"), ("suppressed", "bounced", "bounce"), ("complained", "complained", "complaint")],
)
def test_an_address_that_gives_mail_back_gets_no_more(
    shop: House, post: Post, fate: str, feedback: str, reason: str
) -> None:
    ordered(shop)
    notify(shop)
    event = told(post, fate)
    assert record_feedback(shop.system, event, shop.clock()) == feedback
    assert record_feedback(shop.system, event, shop.clock()) == feedback, "told twice"
    (suppression,) = suppressions(shop)
    assert (suppression["address"], suppression["reason"]) == ("ada@example.com", reason)
    (message,) = messages(shop)
    assert (message["status"], message["feedback"]) == ("sent", feedback)
    ordered(shop)
    notify(shop)
    assert [row["status"] for row in messages(shop)] == ["sent", "suppressed"]
    assert len(post.mails()) == 1
    assert shop.failures() == []


def test_a_mailbox_that_is_full_is_written_to_again(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    record_feedback(shop.system, told(post, "bounced_for_now"), shop.clock())
    assert messages(shop)[0]["feedback"] == "bounced_for_now"
    assert suppressions(shop) == []
    ordered(shop)
    notify(shop)
    assert len(post.mails()) == 2


def test_the_same_news_twice_at_once_is_one_suppression(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    event = told(post, "bounced")
    at_once(*[lambda: record_feedback(shop.system, event, shop.clock())] * 4)
    assert len(suppressions(shop)) == 1


def test_a_second_bounce_of_another_mail_changes_nothing(shop: House, post: Post) -> None:
    ordered(shop)
    ordered(shop)
    notify(shop)
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    record_feedback(shop.system, told(post, "complained"), shop.clock())
    assert [row["reason"] for row in suppressions(shop)] == ["bounce"]


def test_what_a_person_lifted_is_not_undone_by_old_news(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    event = told(post, "bounced")
    record_feedback(shop.system, event, shop.clock())
    shop.sql("UPDATE notifications.suppressions SET lifted_at = :now, lifted_by = 'x', lift_reason = 'x'",
             now=shop.clock())  # fmt: skip
    record_feedback(shop.system, event, shop.clock())
    assert [row["lifted_at"] is None for row in suppressions(shop)] == [False]
    ordered(shop)
    notify(shop)
    assert len(post.mails()) == 2
    shop.clock.advance(milliseconds=1)
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    assert [row["lifted_at"] is None for row in suppressions(shop)] == [False, True]


def test_a_waiting_mail_to_an_address_that_was_suppressed_meanwhile_is_not_sent(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    post.behaves("throttling", times=1)
    ordered(shop)
    notify(shop)
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    shop.clock.advance(seconds=61)
    assert resume(shop) == {"suppressed": 1}
    assert len(post.mails()) == 1


def test_capital_letters_do_not_make_another_address(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    order_id = ordered(shop)
    shop.sql("UPDATE orders.orders SET email = 'Ada@Example.com' WHERE id = :id", id=order_id)
    notify(shop)
    assert [row["status"] for row in messages(shop)] == ["sent", "suppressed"]


def test_the_latest_word_of_the_service_stays(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    bounced, complained = told(post, "bounced_for_now"), told(post, "complained")
    complained["complaint"]["timestamp"] = "2099-01-01T00:00:00.000Z"
    record_feedback(shop.system, complained, shop.clock())
    record_feedback(shop.system, bounced, shop.clock())
    assert messages(shop)[0]["feedback"] == "complained"


def test_news_of_a_mail_that_is_not_there_is_passed_over(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    event = told(post, "bounced")
    event["mail"]["tags"]["holdfast_message"] = ["01930000-0000-7000-8000-0000000f1001"]
    assert record_feedback(shop.system, event, shop.clock()) is None
    event["mail"]["tags"]["holdfast_organization"] = ["01930000-0000-7000-8000-0000000f1001"]
    assert record_feedback(shop.system, event, shop.clock()) is None
    assert suppressions(shop) == []


def test_the_order_of_an_address_check_that_came_back_is_given_to_a_person(shop: House, post: Post) -> None:
    order_id = ordered(shop)
    notify(shop)
    shop.sql("UPDATE notifications.messages SET kind = 'address_check'")
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    assert shop.failures() == ["AddressCheckBounced"]
    assert str(shop.value("SELECT related_id FROM operations.process_failures")) == order_id


def test_news_that_overtakes_the_record_of_its_mail_suppresses_what_it_says(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    shop.sql("UPDATE notifications.messages SET recipient = NULL, status = 'sending', next_attempt_at = now()")
    record_feedback(shop.system, told(post, "bounced"), shop.clock())
    assert suppressions(shop)[0]["address"] == "ada@example.com"
