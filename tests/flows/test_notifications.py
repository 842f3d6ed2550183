"""Events tell shoppers what happened: once, from the order as it now is, even if they come twice, late or together."""

import pytest

from holdfast.flows.notifications.notify_shopper import notify_shopper
from holdfast.payments.refund_plan import Wanted
from tests import shipping
from tests.flows.actions import at_once, expire, ordered, relay
from tests.flows.mailing import events, messages, notify, resume, statuses
from tests.flows.test_disputes import disputed, tell
from tests.house import House
from tests.mail.stage import Post
from tests.refunding import delivered, refund, total

DECLINED = "pm_card_chargeDeclined"


@pytest.fixture
def shop(house: House, post: Post) -> House:
    house.add_variant("TEE", stock=20)
    return house


def settings(house: House, text: str) -> None:
    house.sql("UPDATE tenancy.organizations SET settings = settings || CAST(:s AS jsonb)", s=text)


# --- once -----------------------------------------------------------------------------------------------------------


def test_a_confirmed_order_is_told_of_once_however_often_its_event_comes(shop: House, post: Post) -> None:
    ordered(shop)
    notify(shop)
    notify(shop)
    (mail,) = post.mails()
    assert "is confirmed" in mail.subject
    (message,) = messages(shop)
    assert (message["status"], message["attempts"], message["provider_id"]) == ("sent", 1, mail.id)
    assert (message["recipient"], message["language"]) == ("ada@example.com", "en")
    assert mail.parsed["X-Holdfast-Message-Id"] == str(message["id"])
    assert mail.tags == {"holdfast_organization": str(shop.organization_id), "holdfast_message": str(message["id"])}


def test_two_workers_with_the_same_event_at_once_send_one_mail(shop: House, post: Post) -> None:
    for _ in range(4):
        ordered(shop)
    for topic, event in events(shop, "order.confirmed"):
        post.behaves("slow", delay_seconds=0.2, times=1)
        at_once(*[lambda t=topic, e=event: notify_shopper(shop.system, t, e, shop.clock)] * 4)
    assert len(post.mails()) == 4
    assert {message["attempts"] for message in messages(shop)} == {1}


def test_a_tick_and_a_worker_at_once_send_one_mail(shop: House, post: Post) -> None:
    ordered(shop)
    post.behaves("throttling", times=1)
    notify(shop)
    shop.clock.advance(seconds=61)
    at_once(lambda: resume(shop), lambda: resume(shop), lambda: notify(shop) and {})
    assert len(post.mails()) == 1


def test_every_event_has_a_mail_of_its_own_and_most_have_none(shop: House, post: Post) -> None:
    order_id = ordered(shop, token=DECLINED)
    notify(shop)
    assert statuses(shop) == {"payment_failed": "sent"}
    shop.pay_again(order_id)
    notify(shop)
    shop.cancel(order_id)
    notify(shop)
    assert [subject.partition(" HF-")[0] for subject in post.subjects()] == [
        "Your payment for order",
        "Your order",
        "Your order",
    ]
    assert statuses(shop) == {"payment_failed": "sent", "order_confirmed": "sent", "order_cancelled": "sent"}


def test_an_event_without_its_ids_is_no_mail_and_an_error(shop: House) -> None:
    with pytest.raises(KeyError):
        notify_shopper(shop.system, "order.confirmed", {"organization_id": str(shop.organization_id)}, shop.clock)
    assert messages(shop) == []


# --- the order as it is ---------------------------------------------------------------------------------------------


def test_news_that_is_over_when_it_comes_is_not_sent(shop: House, post: Post) -> None:
    order_id = ordered(shop, token=DECLINED)
    shop.pay_again(order_id)
    shop.cancel(order_id)
    notify(shop)
    assert statuses(shop) == {"payment_failed": "skipped", "order_confirmed": "skipped", "order_cancelled": "sent"}
    assert len(post.mails()) == 1
    assert shop.failures() == []


def test_events_in_the_wrong_order_tell_what_is_true(shop: House, post: Post) -> None:
    order_id = ordered(shop, token=DECLINED)
    shop.pay_again(order_id)
    for topic, event in reversed(events(shop)):
        notify_shopper(shop.system, topic, event, shop.clock)
    assert statuses(shop) == {"payment_failed": "skipped", "order_confirmed": "sent"}
    assert len(post.mails()) == 1


def test_a_mail_goes_where_the_order_says_when_it_is_sent(shop: House, post: Post) -> None:
    order_id = ordered(shop)
    post.behaves("throttling", times=1)
    notify(shop)
    shop.sql("UPDATE orders.orders SET email = 'lovelace@example.com' WHERE id = :id", id=order_id)
    shop.clock.advance(seconds=61)
    resume(shop)
    assert [mail.recipients for mail in post.mails()] == [["lovelace@example.com"]]
    assert messages(shop)[0]["recipient"] == "lovelace@example.com"


@pytest.mark.parametrize(
    ("of_order", "of_shop", "language", "words"),
    [
        ("de", None, "de", "ist bestätigt"),
        ("fr-CA", "de", "fr", "est confirmée"),
        (None, "de", "de", "ist bestätigt"),
        ("pt-BR", None, "en", "is confirmed"),
        (None, None, "en", "is confirmed"),
    ],
)
def test_a_shopper_is_written_in_their_language(
    shop: House, post: Post, of_order: str | None, of_shop: str | None, language: str, words: str
) -> None:
    if of_shop:
        settings(shop, f'{{"language": "{of_shop}"}}')
    order_id = ordered(shop)
    shop.sql("UPDATE orders.orders SET language = :l WHERE id = :id", l=of_order, id=order_id)
    notify(shop)
    (mail,) = post.mails()
    assert words in mail.subject
    assert mail.parsed["Content-Language"] == messages(shop)[0]["language"] == language


def test_the_shop_says_who_writes_and_who_reads_the_answer(shop: House, post: Post) -> None:
    settings(
        shop,
        '{"mail_from_name": "Tees of the World", "mail_reply_to": "help@tees.example",'
        ' "storefront_return_url": "https://tees.example/orders/{order_id}"}',
    )
    order_id = ordered(shop)
    notify(shop)
    (mail,) = post.mails()
    assert str(mail.parsed["From"]) == "Tees of the World <orders@shop.example>"
    assert str(mail.parsed["Reply-To"]) == "help@tees.example"
    assert f"https://tees.example/orders/{order_id}" in (mail.body("html") or "")


def test_every_refund_says_how_much_and_the_last_that_it_is_all(shop: House, post: Post) -> None:
    order_id = delivered(shop, {"TEE": 2})
    refund(shop, order_id, Wanted(amount_minor=1_000))
    notify(shop, "order.partially_refunded")
    assert messages(shop)[0]["refund_id"] is not None
    refund(shop, order_id, Wanted(amount_minor=500))
    notify(shop, "order.partially_refunded")
    refund(shop, order_id)
    notify(shop, "order.partially_refunded", "order.refunded")
    told = [mail.body("plain") or "" for mail in post.mails()]
    rest = total(shop, order_id) - 1_500
    for text, amount in zip(told, ("$10.00", "$5.00", f"${rest / 100:.2f}"), strict=True):
        assert f"We are returning {amount} of your order" in text
    assert ["all of its price" in text for text in told] == [False, False, True]


@pytest.mark.parametrize("news", ["the refund again", "a dispute"])
def test_a_refund_before_the_delivery_is_told_of_once(shop: House, post: Post, news: str) -> None:
    order_id = ordered(shop, {"TEE": 2})
    refund(shop, order_id, Wanted(amount_minor=1_000))
    shipping.delivered(shop, order_id)
    notify(shop)
    if news == "a dispute":
        tell(shop, *disputed(shop, order_id))
    else:
        (webhook,) = shop.webhooks("refund.created")
        tell(shop, {**webhook, "id": f"{webhook['id']}_again"})
    assert shop.order(order_id)["status"] == "partially_refunded"
    notify(shop)
    (message,) = messages(shop, "order_refunded")
    assert message["refund_id"] is not None


def test_a_cancellation_by_a_full_refund_is_one_mail_that_says_what_comes_back(shop: House, post: Post) -> None:
    order_id = ordered(shop, {"TEE": 2})
    refund(shop, order_id, Wanted(amount_minor=1_000))
    shop.clock.advance(seconds=1)
    refund(shop, order_id)
    assert shop.order(order_id)["status"] == "cancelled"
    notify(shop, "order.cancelled", "order.refunded")
    (mail,) = post.mails()
    rest = total(shop, order_id) - 1_000
    assert f"We are returning ${rest / 100:.2f}" in (mail.body("plain") or "")


def test_a_cancellation_tells_what_becomes_of_the_money(shop: House, post: Post) -> None:
    paid = ordered(shop)
    price = total(shop, paid)
    shop.cancel(paid)
    notify(shop, "order.cancelled", order_id=paid)
    assert f"We are returning ${price / 100:.2f}" in (post.mails()[-1].body("plain") or "")
    unpaid = ordered(shop, token=DECLINED)
    shop.cancel(unpaid)
    notify(shop, "order.cancelled", order_id=unpaid)
    assert "No money was taken." in (post.mails()[-1].body("plain") or "")
    settings(shop, '{"capture_policy": "per_shipment"}')
    held = ordered(shop)
    shop.cancel(held)
    notify(shop, "order.cancelled", order_id=held)
    assert "is being released" in (post.mails()[-1].body("plain") or "")


@pytest.mark.parametrize("is_sold", [True, False])
def test_money_that_came_too_late_is_told_of_once(shop: House, post: Post, is_sold: bool) -> None:
    shop.add_variant("LAST", stock=1)
    shop.stripe_behaves(match={"operation": "payment_intents.create"}, fault="timeout_after")
    order_id = ordered(shop, {"LAST": 1})
    webhook = shop.webhooks("payment_intent.succeeded", order_id=order_id)[0]
    shop.clock.advance(hours=1)
    expire(shop)
    if is_sold:
        ordered(shop, {"LAST": 1})
    else:
        shop.sql(
            "SELECT orders.walk_status(:o, :id, 'payment_processing', 2, ARRAY['cancelled'], 'test', 'over', :now)",
            o=shop.organization_id,
            id=order_id,
            now=shop.clock(),
        )
    price = total(shop, order_id)
    for _ in range(2):
        shop.deliver(webhook)
        shop.work()
    notify(shop, order_id=order_id)
    notify(shop, order_id=order_id)
    (mail,) = post.mails()
    assert "We are returning your payment" in mail.subject
    assert f"We are returning ${price / 100:.2f}" in (mail.body("plain") or "")


def test_an_order_that_moved_to_the_archive_is_not_written_about(shop: House, post: Post) -> None:
    order_id = ordered(shop)
    shop.sql("UPDATE orders.orders SET deleted_at = :now WHERE id = :id", id=order_id, now=shop.clock())
    notify(shop)
    assert (statuses(shop), post.mails()) == ({"order_confirmed": "skipped"}, [])


# --- from the outbox ------------------------------------------------------------------------------------------------


def test_an_event_that_is_published_twice_is_told_of_once(shop: House, post: Post) -> None:
    ordered(shop)
    relay(shop)
    shop.sql("UPDATE operations.outbox SET published_at = NULL")
    relay(shop)
    notify(shop)
    assert len(post.mails()) == 1


def test_mails_go_after_their_time(shop: House, post: Post) -> None:
    from holdfast.flows.operations.keep_house import MESSAGES_RETENTION_DAYS, keep_house  # noqa: PLC0415

    ordered(shop)
    notify(shop)
    shop.clock.advance(days=MESSAGES_RETENTION_DAYS - 1)
    assert keep_house(shop.system, shop.clock, lambda: 60.0).purged["messages"] == 0
    shop.clock.advance(days=2)
    assert keep_house(shop.system, shop.clock, lambda: 60.0).purged["messages"] == 1
    assert messages(shop) == []


def test_the_same_kind_for_two_orders_is_two_mails(shop: House, post: Post) -> None:
    first, second = ordered(shop), ordered(shop)
    notify(shop)
    assert {str(message["order_id"]) for message in messages(shop)} == {first, second}
    assert len(post.mails()) == 2
