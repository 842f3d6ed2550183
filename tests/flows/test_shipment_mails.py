"""One mail for each parcel, with its tracking link and its contents."""

import pytest

from tests.flows.actions import ordered
from tests.flows.mailing import events, messages, notify
from tests.house import House
from tests.mail.stage import Post
from tests.shipping import deliver, fail, only, shipments, shipped


@pytest.fixture
def split(house: House, post: Post) -> str:
    """The id of an order of twelve tees, more than any one warehouse has."""
    house.add_variant("TEE", stock={"EWR": 7, "RNO": 9})
    return ordered(house, {"TEE": 12})


def test_a_split_order_is_announced_and_each_parcel_told_of_once(house: House, post: Post, split: str) -> None:
    notify(house)
    assert "It comes in 2 parcels" in (post.mails()[0].body("plain") or "")
    for shipment in shipments(house, split):
        shipped(house, shipment)
    notify(house)
    notify(house)
    parcels = [mail.body("plain") or "" for mail in post.mails()[1:]]
    assert len(parcels) == 2
    held = sorted(int(line.split(" x ")[0]) for text in parcels for line in text.splitlines() if " x Tee" in line)
    assert sum(held) == 12
    assert all("1Z999" in text and "UPS" in text for text in parcels)
    assert all("comes in 2 parcels" in text for text in parcels)
    told = house.rows("SELECT notification_sent_at FROM fulfillment.shipments")
    assert all(row["notification_sent_at"] for row in told)


def test_an_event_of_a_parcel_that_comes_anew_is_the_same_mail(house: House, post: Post, split: str) -> None:
    shipped(house, shipments(house, split)[0])
    house.sql("UPDATE operations.outbox SET id = gen_random_uuid() WHERE topic = 'shipment.shipped'")
    notify(house, "shipment.shipped")
    house.sql("UPDATE operations.outbox SET id = gen_random_uuid() WHERE topic = 'shipment.shipped'")
    notify(house, "shipment.shipped")
    assert len(post.mails()) == 1
    assert len(messages(house, "shipment_shipped")) == 1


def test_a_parcel_links_to_its_carrier_and_says_when_it_arrived(house: House, post: Post) -> None:
    house.add_variant("TEE", stock=5)
    order_id = ordered(house)
    shipment = shipped(house, only(house, order_id))
    notify(house, "shipment.shipped")
    (mail,) = post.mails()
    assert shipment["tracking_url"] is not None
    assert shipment["tracking_url"] in (mail.body("plain") or "")
    assert "Amount" not in (mail.body("html") or "")
    deliver(house, shipment)
    notify(house)
    kinds = {row["kind"]: row["status"] for row in messages(house)}
    assert kinds == {"shipment_shipped": "sent", "shipment_delivered": "sent", "order_confirmed": "sent"}
    assert "was delivered" in (post.mails()[1].body("plain") or "") or "was delivered" in (
        post.mails()[2].body("plain") or ""
    )


def test_a_parcel_that_failed_before_its_mail_was_sent_is_not_said_to_be_under_way(house: House, post: Post) -> None:
    house.add_variant("TEE", stock=5)
    order_id = ordered(house)
    fail(house, shipped(house, only(house, order_id)))
    notify(house, "shipment.shipped")
    assert [row["status"] for row in messages(house)] == ["skipped"]
    assert [topic for topic, _ in events(house, "shipment.failed")] == ["shipment.failed"]
