"""What the last release left in a database survives the newer migrations and stays usable."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.database.migrations.run import upgrade
from holdfast.secrets.store import SecretStore
from holdfast.values.caller import Caller, CallerKind
from local.postgres import Server
from local.testing import database
from tests import shipping
from tests.archive.scenes import archive, archive_environment, bucket, prove, prove_cold, purge, verify
from tests.flows.actions import expire, status
from tests.house import House
from tests.premises import ROLE_PASSWORD, make_partitions_around_now
from tests.refunding import refund
from tests.released.data import ROWS, read, restore


@pytest.fixture(scope="module")
def upgraded(postgres: Server, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """The shop of the release on the newest schema, a minute after its last day."""
    release = read(ROWS)
    with database(postgres) as owner:
        restore(postgres, owner, release)
        upgrade(owner.url, role_password=ROLE_PASSWORD)
        make_partitions_around_now(owner)
        with House(owner, stripe_url, secret_store, archive_environment()) as house:
            for key, body in release["cold_storage"].items():
                bucket(house).put_object(Key=key, Body=base64.b64decode(body))
            _move_in(house, release)
            yield house


def _move_in(house: House, release: dict[str, Any]) -> None:
    """Make the house that shop from now on: its customer, clock and stock, and the new secret of its account."""
    house.organization_id = UUID(release["organization_id"])
    house.clock.now = datetime.fromisoformat(release["made_at"]) + timedelta(minutes=1)
    house.customer = Caller(house.organization_id, CallerKind.CUSTOMER, "ada", "ada@example.com")
    house.sql(
        "UPDATE tenancy.gateway_accounts SET secret_reference = :secret WHERE organization_id = :o",
        secret=house.secret_reference,
        o=house.organization_id,
    )
    for kept_in, table, name in (
        (house.warehouses, "inventory.warehouses", "code"),
        (house.variants, "catalog.variants", "sku"),
    ):
        rows = house.rows(f"SELECT {name} AS name, id FROM {table} WHERE organization_id = :o", o=house.organization_id)
        kept_in.update({row["name"]: row["id"] for row in rows})


def orders_in(house: House, state: str) -> list[str]:
    rows = house.rows(
        "SELECT id FROM orders.orders WHERE organization_id = :o AND status = :state ORDER BY id",
        o=house.organization_id,
        state=state,
    )
    return [str(row["id"]) for row in rows]


def test_every_row_of_the_release_came_through(upgraded: House) -> None:
    release = read(ROWS)
    for table in ("orders.orders", "payments.payments", "inventory.stock_movements", "archive.archived_orders"):
        there = upgraded.value(f"SELECT count(*) FROM {table} WHERE organization_id = :o", o=upgraded.organization_id)
        assert there == len(release["rows"][table]) > 0, table


def test_every_invariant_holds_before_anything_happens(upgraded: House) -> None:
    assert upgraded.violations() == []


def test_orders_are_listed_and_read_the_archived_ones_too(upgraded: House) -> None:
    for row in upgraded.rows(
        "SELECT o.id FROM orders.orders o JOIN tenancy.customers c ON c.id = o.customer_id WHERE c.auth_subject = 'ada'"
    ):
        assert upgraded.order(str(row["id"]))["items"]
    for row in upgraded.rows("SELECT order_number FROM archive.archive_index"):
        assert upgraded.order(row["order_number"])["order_number"] == row["order_number"]


def test_a_file_of_the_release_in_cold_storage_is_proven(upgraded: House) -> None:
    found = prove_cold(upgraded)
    assert (found.files, found.orders, found.broken) == (1, 3, [])


def test_an_order_whose_card_was_declined_is_paid_shipped_and_refunded(upgraded: House) -> None:
    order_id = orders_in(upgraded, "payment_failed")[0]
    upgraded.pay_again(order_id)
    assert status(upgraded, order_id) == "confirmed"
    shipping.delivered(upgraded, order_id)
    assert status(upgraded, order_id) == "delivered"
    assert refund(upgraded, order_id)["order"]["payment_status"] == "refunded"
    assert upgraded.violations() == []


def test_holds_of_the_release_expire_and_new_orders_are_placed(upgraded: House) -> None:
    upgraded.clock.advance(minutes=30)
    assert expire(upgraded).released > 0
    placed = json.loads(upgraded.place({"TEE": 1}).body)
    assert placed["order"]["status"] == "confirmed"
    assert upgraded.violations() == []


def test_the_chain_of_the_archive_is_proven_and_grows(upgraded: House) -> None:
    before = prove(upgraded)
    assert (before.finished, before.break_reason) == (True, None)
    upgraded.clock.advance(days=365 * 3)
    assert archive(upgraded).orders > 0
    verify(upgraded)
    upgraded.clock.advance(days=9)
    purge(upgraded)
    after = prove(upgraded)
    assert (after.finished, after.break_reason) == (True, None)
    assert after.orders > before.orders
