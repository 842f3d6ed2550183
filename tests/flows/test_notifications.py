"""Events tell shoppers what happened: once, from the order as it is, whatever comes twice, late or at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.flows.notifications.notify_shopper import notify_shopper
from tests.flows.actions import ordered
from tests.house import House
from tests.mail.stage import Post, running_post


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with running_post(tmp_path) as running:
        yield running


@pytest.fixture
def shop(house: House, post: Post) -> House:
    house.add_variant("TEE", stock=10)
    return house


def told(house: House, topic: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """What the outbox has, as the bus delivers it."""
    rows = house.rows(
        "SELECT id, topic, payload FROM operations.outbox WHERE organization_id = :o ORDER BY id",
        o=house.organization_id,
    )
    return [
        (row["topic"], row["payload"] | {"id": str(row["id"]), "organization_id": str(house.organization_id)})
        for row in rows
        if topic in (None, row["topic"])
    ]


def test_a_confirmed_order_is_told_of_once_however_often_its_event_comes(shop: House, post: Post) -> None:
    ordered(shop)
    for _ in range(2):
        for topic, event in told(shop):
            notify_shopper(shop.system, topic, event, shop.clock)
    (mail,) = post.mails()
    assert "is confirmed" in mail.subject
    print(mail.raw)
    print(mail.body("plain"))
