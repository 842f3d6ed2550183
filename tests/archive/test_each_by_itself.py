"""An organization whose archive fails does not keep the others waiting."""

from collections.abc import Callable
from uuid import UUID

import pytest

from holdfast.database.transaction import Database
from holdfast.flows.archive import prove_chain, scan_archive
from holdfast.flows.archive.organizations import FAILURES_MAX, EachByItself
from holdfast.flows.archive.prove_chain import prove_chains
from tests.archive.scenes import archive, delivered, export, plenty, purge, scan, spot, verify, years_pass
from tests.house import House

BROKEN = UUID(int=7)


class OutOfOrder(Exception):
    """What happens to the broken organization."""


@pytest.fixture
def beside_a_broken_one(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """A shop with an old order, and before it in every list an organization of which nothing can be read."""
    delivered(house)
    years_pass(house)
    house.sql(
        "INSERT INTO tenancy.organizations SELECT (jsonb_populate_record(o, jsonb_build_object("
        "'id', CAST(:id AS text), 'slug', 'broken', 'publishable_key', 'pk_broken_0123456789abcd'))).*"
        " FROM tenancy.organizations o",
        id=BROKEN,
    )
    begin = Database.transaction

    def transaction(self: Database, organization_id: UUID | None, **how: object) -> object:
        if organization_id == BROKEN:
            raise OutOfOrder
        return begin(self, organization_id, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "transaction", transaction)
    in_order = [(BROKEN, None), (house.organization_id, None)]
    for module in (scan_archive, prove_chain):
        monkeypatch.setattr(module, "least_recently_looked_at", lambda *_: in_order)
    return house


def test_every_scheduled_step_reaches_the_others_and_fails_in_the_end(beside_a_broken_one: House) -> None:
    house = beside_a_broken_one

    def chain() -> object:
        return prove_chains(house.system, house.clock, plenty)

    def state() -> list[dict[str, object]]:
        return house.rows(
            "SELECT (SELECT count(*) FROM archive.archive_index) AS indexed,"
            " (SELECT count(*) FROM archive.archive_batches WHERE status = 'verified') AS verified,"
            " (SELECT count(*) FROM archive.reconciliation_log) AS looks,"
            " (SELECT count(*) FROM orders.orders) AS active,"
            " (SELECT count(*) FROM archive.cold_files WHERE state = 'verified') AS files"
        )

    steps: list[Callable[[], object]] = [
        lambda: archive(house),
        lambda: verify(house),
        lambda: spot(house),
        lambda: scan(house),
        chain,
        lambda: purge(house),
        lambda: export(house),
    ]
    for step in steps:
        before = state()
        years_pass(house)
        with pytest.raises(OutOfOrder):
            step()
        assert state() != before


def fail_for_everybody(asked: list[int]) -> None:
    with EachByItself() as each:
        for number in range(100):
            with each.organization(UUID(int=number)):
                asked.append(number)
                raise OutOfOrder


def test_a_run_in_which_everybody_fails_ends() -> None:
    asked: list[int] = []
    with pytest.raises(OutOfOrder):
        fail_for_everybody(asked)
    assert len(asked) == FAILURES_MAX
