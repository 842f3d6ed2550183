"""A shopper whose address was not found gets a mail with the link of its review, and a reminder."""

import pytest

from holdfast.flows.notifications.record_feedback import record_feedback
from tests.flows import moving
from tests.flows.actions import ordered, status
from tests.flows.mailing import messages, notify, statuses
from tests.flows.reviewing import TO_RENO, answer, in_review, review, steps, token, watch
from tests.flows.test_mail_feedback import told
from tests.house import House
from tests.mail.stage import Post


@pytest.fixture
def shop(house: House, post: Post) -> House:
    """A house that reviews addresses, with tees in Newark."""
    moving.shop(house)
    house.add_variant(stock={"EWR": 10})
    return house


def test_the_mail_carries_a_link_that_corrects_the_address_and_then_the_order_is_confirmed(
    shop: House, post: Post
) -> None:
    order_id = in_review(shop)
    notify(shop)
    notify(shop)
    (mail,) = post.mails()
    link = f"https://shop.example/check-address#{token(shop, order_id)}"
    assert link in (mail.body("plain") or "")
    assert link in (mail.body("html") or "")
    assert "12 Analytical Way" in (mail.body("plain") or "")
    assert steps(shop, order_id) == ["begun", "customer_contacted"]
    assert review(shop, order_id)["notified_at"] is not None
    answer(shop, token(shop, order_id), TO_RENO)
    assert status(shop, order_id) == "confirmed"
    notify(shop)
    assert statuses(shop) == {"address_check": "sent", "order_confirmed": "sent"}


def test_no_link_is_kept_or_logged(shop: House, post: Post, caplog: pytest.LogCaptureFixture) -> None:
    order_id = in_review(shop)
    post.behaves("throttling", times=1)
    notify(shop)
    secret = token(shop, order_id)
    assert secret not in repr(messages(shop))
    assert secret not in caplog.text


def test_the_shopper_is_reminded_and_at_the_end_told_that_the_order_is_cancelled(shop: House, post: Post) -> None:
    order_id = in_review(shop)
    notify(shop)
    shop.clock.now = review(shop, order_id)["reminder_at"]
    watch(shop)
    notify(shop)
    assert "still waits" in post.mails()[1].subject
    assert token(shop, order_id) in (post.mails()[1].body("plain") or "")
    shop.clock.now = review(shop, order_id)["deadline_at"]
    watch(shop)
    notify(shop)
    assert status(shop, order_id) == "cancelled"
    assert "We are returning $" in (post.mails()[2].body("plain") or "")
    assert statuses(shop) == {"address_check": "sent", "address_reminder": "sent", "order_cancelled": "sent"}


def test_a_person_is_called_once_where_the_address_takes_no_mail(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    record_feedback(shop.system, told(post, "complained"), shop.clock())
    order_id = in_review(shop)
    notify(shop)
    assert shop.failures() == ["AddressCheckBounced"]
    assert str(shop.value("SELECT related_id FROM operations.process_failures")) == order_id
    shop.clock.now = review(shop, order_id)["reminder_at"]
    watch(shop)
    notify(shop)
    assert [row["status"] for row in messages(shop)] == ["sent", "suppressed", "suppressed"]
    assert (shop.failures(), len(post.mails())) == (["AddressCheckBounced"], 1)


def test_a_review_that_was_answered_is_not_asked_about(shop: House, post: Post) -> None:
    order_id = in_review(shop)
    answer(shop, token(shop, order_id), TO_RENO)
    notify(shop)
    assert statuses(shop) == {"address_check": "skipped", "order_confirmed": "sent"}


def test_without_a_page_the_shopper_is_asked_all_the_same(shop: House, post: Post) -> None:
    object.__setattr__(shop.system.settings, "address_review_page_url", "")
    in_review(shop)
    notify(shop)
    (mail,) = post.mails()
    assert "Please check it" in (mail.body("plain") or "")
    assert "check-address" not in (mail.body("html") or "")
