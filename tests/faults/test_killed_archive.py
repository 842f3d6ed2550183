"""Archival and cold export, killed at every point: the next run finishes; no order is lost, doubled or unreadable."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.flows.orders.find_order import find_order
from holdfast.secrets.store import SecretStore
from local.postgres import Address
from prove import steps
from prove.trap import Step, Trap
from tests.archive.scenes import (
    archive_environment,
    asked_for,
    bucket,
    delivered,
    old_at_once,
    plenty,
    prove,
    scan,
)
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.flows.actions import staff
from tests.house import House

SHARE = 1 if HEAVY else 3
POINTS_MAX = 120
LEASE_MINUTES = 21
"""After this time somebody else takes over from a run that died."""


@pytest.fixture
def house(db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """A shop whose orders are old at once, so that nothing has to wait."""
    with House(db, stripe_url, secret_store, archive_environment()) as made:
        made.add_variant(stock=1_000)
        old_at_once(made)
        yield made


def views(house: House, order_ids: list[str]) -> dict[str, Mapping[str, Any]]:
    return {order_id: {**house.order(order_id), "version": None} for order_id in order_ids}


def died_at_every_point(
    house: House, victims: Victims, step: Step, prepare: Any, share: int = 1
) -> Iterator[tuple[str, list[str]]]:
    """Yield (where, what is wrong after the next run) for every point, until a run ends by itself."""
    known: dict[str, Mapping[str, Any]] = {}
    for at in range(1, POINTS_MAX, share):
        made = prepare(house)
        known |= made
        remains = victims.send(house.system, step, (), Trap(at))
        house.clock.advance(minutes=LEASE_MINUTES)
        step(house.system, house.clock)
        where = remains.trapped_at or "nowhere"
        looked_at = known if remains.trapped_at is None else made
        now = views(house, list(looked_at))
        wrong = [f"order {order_id} is another" for order_id in looked_at if now[order_id] != known[order_id]]
        if remains.error is not None:
            wrong.append(remains.error)
        yield where, wrong
        if remains.trapped_at is None:
            return
    raise AssertionError("the step does not end")


def fresh(house: House, orders: int = 2) -> dict[str, Mapping[str, Any]]:
    made = views(house, delivered(house, orders))
    house.clock.advance(minutes=1)
    return made


def put_away(house: House) -> dict[str, Mapping[str, Any]]:
    made = fresh(house, orders=1)
    steps.put_away(house.system, house.clock)
    house.clock.advance(days=32)
    return made


def test_an_archival_killed_at_any_point_is_finished_by_the_next(house: House, victims: Victims) -> None:
    looked_at = list(died_at_every_point(house, victims, steps.put_away, fresh, SHARE))
    assert [line for line in looked_at if line[1]] == []
    points = {where for where, _ in looked_at}
    assert len(points) > 10 // SHARE
    for words in ("archive.fill_batch", "archive.seal_batch", "SELECT e.order_id, e.kind", "archive.purge_batch"):
        assert any(words in point for point in points), words
    orders = 2 * len(looked_at)
    counts = house.rows(
        """
        SELECT (SELECT count(*) FROM archive.archive_index) AS indexed,
               (SELECT count(*) FROM archive.archived_orders) AS copied,
               (SELECT count(*) FROM archive.batch_leaves) AS leaves, (SELECT count(*) FROM orders.orders) AS active
        """
    )
    assert counts == [{"indexed": orders, "copied": orders, "leaves": orders, "active": 0}]
    assert scan(house).tally.findings == []
    proof = prove(house)
    assert (proof.orders, proof.break_position) == (orders, None)


def test_a_cold_export_killed_at_any_point_is_finished_by_the_next(house: House, victims: Victims) -> None:
    looked_at = list(died_at_every_point(house, victims, steps.export, put_away))
    assert [line for line in looked_at if line[1]] == []
    points = {where for where, _ in looked_at}
    for words in ("aws PutObject", "aws GetObject", "UPDATE archive.archive_index", "UPDATE archive.cold_files"):
        assert any(words in point for point in points), words
    orders = len(looked_at)
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE location = 'cold_storage'") == orders
    assert house.value("SELECT sum(orders) FROM archive.cold_files WHERE state = 'verified'") == orders
    assert house.value("SELECT count(*) FROM archive.archived_orders") == 0
    proven = prove_cold_storage(house.system, house.clock, plenty)
    assert (proven.orders, proven.broken) == (orders, [])


def test_an_export_killed_between_the_bucket_and_the_index_finds_its_file_and_goes_on(
    house: House, victims: Victims
) -> None:
    """The file is in the bucket, and the database knows nothing of it but its name."""
    made = put_away(house)
    remains = victims.send(house.system, steps.export, (), Trap(1, saying="UPDATE archive.archive_index"))
    assert remains.signal == 9
    keys = {entry.key for entry in bucket(house).objects.all()}
    assert len(keys) == 2  # the file and its manifest
    assert house.value("SELECT state FROM archive.cold_files") == "writing"
    assert house.value("SELECT location FROM archive.archive_index") == "archived"
    assert views(house, list(made)) == made
    steps.export(house.system, house.clock)
    assert {entry.key for entry in bucket(house).objects.all()} == keys
    assert house.value("SELECT location FROM archive.archive_index") == "cold_storage"
    assert views(house, list(made)) == made


def test_a_month_that_is_brought_back_and_killed_at_any_point_is_whole_after_the_next_run(
    house: House, victims: Victims
) -> None:
    def asked(house: House) -> dict[str, Mapping[str, Any]]:
        made = put_away(house)
        steps.export(house.system, house.clock)
        asked_for(house, house.value("SELECT max(month) FROM archive.cold_files WHERE state = 'verified'"))
        return made

    looked_at = list(died_at_every_point(house, victims, steps.restore_month, asked))
    assert [line for line in looked_at if line[1]] == []
    points = {where for where, _ in looked_at}
    for words in ("aws GetObject", "archive.refile_orders"):
        assert any(words in point for point in points), words
    orders = len(looked_at)
    rows = house.rows("SELECT month, state, orders, failure FROM archive.month_restores ORDER BY id")
    assert [(row["state"], row["orders"]) for row in rows] == [("done", 1)] * orders, rows
    assert scan(house).tally.findings == []


def test_an_order_that_is_brought_back_and_killed_at_any_point_is_whole_either_way(
    house: House, victims: Victims
) -> None:
    wrong: list[tuple[str, str]] = []
    points: list[str] = []
    for at in range(1, POINTS_MAX):
        [(order_id, view)] = put_away(house).items()
        arguments = (house.organization_id, UUID(order_id))
        remains = victims.send(house.runtime, steps.restore, arguments, Trap(at))
        where = remains.trapped_at or "nowhere"
        points.append(where)
        if views(house, [order_id])[order_id] != view:
            wrong.append((where, "another order after the death"))
        if house.value("SELECT count(*) FROM orders.orders WHERE id = CAST(:id AS uuid)", id=order_id) == 0:
            steps.restore(house.runtime, house.clock, *arguments)
        if views(house, [order_id])[order_id] != view:
            wrong.append((where, "another order in the end"))
        if remains.trapped_at is None:
            break
    assert wrong == []
    assert any("archive.bring_back" in point for point in points)
    assert scan(house).tally.findings == []
    assert house.violations() == []


def test_an_erasure_killed_at_any_point_is_whole_or_never_was(house: House, victims: Victims) -> None:
    admin = staff(house, "admin")
    points: list[str] = []
    for at in range(1, POINTS_MAX):
        [order_id] = put_away(house)
        customer_id = house.value(
            "SELECT customer_id FROM archive.archive_index WHERE order_id = CAST(:id AS uuid)", id=order_id
        )
        remains = victims.send(house.runtime, steps.erase, (admin, customer_id), Trap(at))
        points.append(remains.trapped_at or "nowhere")
        erased = house.rows(
            "SELECT (SELECT wrapped_key IS NULL FROM archive.customer_keys k WHERE k.customer_id = c.id) AS key_gone,"
            " c.email IS NULL AS profile_gone,"
            " EXISTS (SELECT 1 FROM archive.erasures e WHERE e.customer_id = c.id) AS has_tombstone"
            " FROM tenancy.customers c WHERE c.id = :id",
            id=customer_id,
        )
        assert len(set(erased[0].values())) == 1, (points[-1], erased)
        steps.erase(house.runtime, house.clock, admin, customer_id)
        assert find_order(house.runtime, admin, order_id, house.clock())["email"] == "erased"
        if remains.trapped_at is None:
            break
    assert any("archive.erase_customer" in point for point in points)
    assert house.value("SELECT count(*) FROM archive.erasures") == len(points)
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None
