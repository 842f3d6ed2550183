"""The chain is proven daily, from where time ran out before, and compared with the heads that were put away."""

import json

import pytest

from holdfast.flows.archive import prove_chain
from holdfast.flows.archive.verify_archive import Verified
from tests.archive.scenes import (
    archive,
    bucket,
    cold,
    delivered,
    export,
    objects,
    plenty,
    prove,
    purge,
    runs,
    verify,
    years_pass,
)
from tests.house import House


@pytest.fixture
def chained(house: House) -> House:
    """Three batches of one order each."""
    delivered(house, 3)
    years_pass(house)
    archive(house, batch_max_orders=1)
    return house


def prove_all(house: House, times: int | None = None) -> Verified:
    return prove_chain.prove_chains(house.system, house.clock, plenty if times is None else runs(times))


def heads(house: House) -> list[str]:
    return sorted(key for key in objects(house) if key.startswith("chain/"))


FORGED = """
    DO $$
    DECLARE batch record; before bytea := decode(repeat('00', 32), 'hex'); merkle bytea;
    BEGIN
        UPDATE archive.batch_leaves SET checksum = sha256('other')
         WHERE batch_id = (SELECT id FROM archive.archive_batches WHERE chain_position = 2);
        FOR batch IN SELECT * FROM archive.archive_batches ORDER BY chain_position LOOP
            merkle := archive.merkle_root_of(batch.organization_id, batch.id);
            UPDATE archive.archive_batches SET merkle_root = merkle, previous_root = before,
                   root = archive.batch_root(before, batch.chain_position, batch.id, batch.orders, merkle)
             WHERE id = batch.id RETURNING root INTO before;
        END LOOP;
        UPDATE archive.chain_heads SET root = before;
    END $$
"""
"""Exchange the checksum of an order's document, and rewrite every root up to the head to agree with it."""


def test_a_head_that_was_proven_is_put_away_once(chained: House) -> None:
    root = prove(chained).root
    assert heads(chained) == []  # a proof on request puts nothing away
    for _ in range(2):
        verified = prove_all(chained)
        assert (verified.finished, verified.tally.checked, verified.tally.findings) == (True, 3, [])
    [key] = heads(chained)
    assert key == f"chain/organization_id={chained.organization_id}/000000000003-{root}.json"
    assert json.loads(objects(chained)[key])["chain"] == {"position": 3, "root": root}


def test_a_chain_that_was_written_anew_up_to_its_head_breaks_at_what_was_put_away(chained: House) -> None:
    prove_all(chained)
    [key] = heads(chained)
    chained.sql(FORGED)
    verified = prove_all(chained)
    assert [found.details for found in verified.tally.findings] == [f"its root is not the one that was put away: {key}"]
    assert verified.failed_batches == 1
    assert chained.failures() == ["ArchiveVerification"]
    assert heads(chained) == [key]  # a forged head is not put away
    proof = prove(chained)
    assert (proof.break_position, proof.break_batch_id) == (
        3,
        chained.value("SELECT id FROM archive.archive_batches WHERE chain_position = 3"),
    )


def test_the_first_break_is_named_though_a_later_one_was_put_away(chained: House) -> None:
    prove_all(chained)
    chained.sql(FORGED)
    chained.sql("UPDATE archive.archive_batches SET root = sha256('other') WHERE chain_position = 1")
    assert prove(chained).break_position == 1


def test_a_chain_that_was_written_anew_breaks_at_what_a_manifest_says(house: House) -> None:
    cold(house)
    archive(house)
    export(house)
    house.sql(FORGED.replace("chain_position = 2", "chain_position = 1"))
    proof = prove(house)
    [manifest] = [key for key in objects(house) if key.startswith("manifests/")]
    assert (proof.break_position, proof.break_reason) == (1, f"its root is not the one that was put away: {manifest}")


def cut_off(house: House) -> None:
    """Take the last batch away and its orders out of the index, as a restore of the database from before it does."""
    house.sql(
        "UPDATE orders.orders SET deleted_at = NULL WHERE id IN (SELECT order_id FROM archive.batch_leaves"
        " WHERE batch_id = (SELECT id FROM archive.archive_batches ORDER BY chain_position DESC LIMIT 1))"
    )
    for table in ("archive_index", "batch_leaves", "archive_batches"):
        column = "id" if table == "archive_batches" else "batch_id"
        house.sql(
            f"DELETE FROM archive.{table} WHERE {column} ="
            " (SELECT id FROM archive.archive_batches ORDER BY chain_position DESC LIMIT 1)"
        )
    house.sql(
        "UPDATE archive.chain_heads SET position = 2,"
        " root = (SELECT root FROM archive.archive_batches WHERE chain_position = 2)"
    )


def test_a_tail_that_was_cut_off_with_its_head_is_missed_by_what_was_put_away(chained: House) -> None:
    prove_all(chained)
    [key] = heads(chained)
    cut_off(chained)
    proof = prove(chained)
    assert proof.break_position == 3
    assert proof.break_reason == f"the chain was longer once: position 3 was put away as {key}"


def test_what_a_restored_database_costs_ends_once_the_heads_of_the_lost_chain_are_hidden(chained: House) -> None:
    """As the runbook has it. A marker in the bucket hides an object from its list."""
    prove_all(chained)
    [lost] = heads(chained)
    cut_off(chained)
    chained.sql("DELETE FROM archive.archived_orders a WHERE NOT EXISTS (SELECT 1 FROM archive.archive_index x"
                " WHERE x.order_id = a.order_id)")  # fmt: skip
    assert archive(chained).orders == 1
    verify(chained)
    prove_all(chained)
    chained.clock.advance(days=8)
    assert purge(chained).blocked_batches == 1
    bucket(chained).Object(lost).delete()
    verified = prove_all(chained)
    assert (verified.finished, verified.tally.checked, verified.tally.findings) == (True, 3, [])
    [head] = heads(chained)
    assert head != lost
    assert head.rpartition("-")[0] == lost.rpartition("-")[0]
    assert (purge(chained).orders, purge(chained).blocked_batches) == (1, 0)


def test_what_was_put_away_and_cannot_be_read_is_a_break_too(chained: House) -> None:
    key = f"manifests/organization_id={chained.organization_id}/month=2020-01/none.json"
    bucket(chained).Object(key).put(Body=b"{")
    proof = prove(chained)
    assert proof.break_reason == f"what was put away of the chain cannot be read: {key}"


def test_a_proof_without_time_goes_on_where_it_ended(chained: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it ended is on record, and whoever proves next goes on from there: the schedule or a person."""
    monkeypatch.setattr(prove_chain, "PAGE_BATCHES", 1)

    def step() -> tuple[int, int, bool]:
        chained.clock.advance(hours=1)
        proof = prove_chain.prove_chain(
            chained.system, chained.organization_id, chained.clock, runs(1), actor="system:test"
        )
        return proof.batches, proof.orders, proof.finished

    assert [step() for _ in range(4)] == [(1, 1, False), (2, 2, False), (3, 3, False), (3, 3, True)]
    looks = chained.rows("SELECT checked, is_complete FROM archive.reconciliation_log WHERE type = 'chain' ORDER BY id")
    assert [(row["checked"], row["is_complete"]) for row in looks] == [(1, False), (2, False), (3, False), (3, True)]
    assert step() == (1, 1, False)  # it starts over from the first batch


def test_who_forges_what_a_proof_goes_on_from_is_found_by_what_was_put_away(
    chained: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_all(chained)
    [key] = heads(chained)
    monkeypatch.setattr(prove_chain, "PAGE_BATCHES", 1)
    chained.sql(FORGED)
    chained.sql("DELETE FROM archive.reconciliation_log")
    bucket(chained).Object(key).delete()
    for _ in range(3):
        chained.clock.advance(hours=1)
        prove_chain.prove_chain(chained.system, chained.organization_id, chained.clock, runs(1), actor="system:test")
    bucket(chained).Object(key).put(Body=b"{}")
    assert prove(chained).break_position == 3


def test_a_batch_that_is_sealed_meanwhile_breaks_nothing(chained: House, monkeypatch: pytest.MonkeyPatch) -> None:
    delivered(chained)
    years_pass(chained)
    real = prove_chain._head

    def late(*arguments: object) -> object:
        archive(chained)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(prove_chain, "_head", late)
    proof = prove(chained)
    assert (proof.batches, proof.break_reason) == (3, None)
    monkeypatch.setattr(prove_chain, "_head", real)
    assert prove(chained).batches == 4


def test_a_chain_that_is_not_proven_whole_for_a_week_is_late(chained: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_chain, "PAGE_BATCHES", 1)
    assert prove_all(chained, 2).late == 0
    chained.clock.advance(days=8)
    late = prove_all(chained, 0)
    assert (late.late, late.finished) == (1, False)
    prove_all(chained)
    assert prove_all(chained, 0).late == 0
