"""Archival and cold export killed everywhere: the next run finishes, and no order is lost, doubled or unreadable."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.secrets.store import SecretStore
from local.postgres import Address
from prove import steps
from prove.errand import Step, Trap
from tests.archive.scenes import archive_environment, delivered, old_at_once, plenty, prove, scan
from tests.faults.settings import HEAVY
from tests.faults.victims import Victims
from tests.house import House

SHARE = 1 if HEAVY else 3
EXPORT_SHARE = 1 if HEAVY else 2
"""An exchange with the bucket has two points, before it and while it is under way: one of them is always met."""
POINTS_MAX = 120


@pytest.fixture
def house(db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """A shop whose orders are old at once: nothing has to wait."""
    with House(db, stripe_url, secret_store, archive_environment()) as made:
        made.add_variant(stock=1_000)
        old_at_once(made)
        yield made


def views(house: House, order_ids: list[str]) -> dict[str, Mapping[str, Any]]:
    return {order_id: {**house.order(order_id), "version": None} for order_id in order_ids}


def died_at_every_point(
    house: House, victims: Victims, step: Step, prepare: Any, share: int = 1
) -> Iterator[tuple[str, list[str]]]:
    """(where, what is wrong after the next run) for every point, until a run ends by itself."""
    known: dict[str, Mapping[str, Any]] = {}
    for at in range(1, POINTS_MAX, share):
        made = prepare(house)
        known |= made
        remains = victims.send(house.system, step, (), Trap(at))
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
    for words in ("archive.fill_batch", "archive.seal_batch", "archive.purge_batch"):
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
    looked_at = list(died_at_every_point(house, victims, steps.export, put_away, EXPORT_SHARE))
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
