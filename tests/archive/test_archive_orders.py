"""Orders leave the active tables only after a copy of them was sealed and verified."""

from hashlib import sha256
from uuid import UUID

from tests.archive.canonical import canonical_text, parse_exactly
from tests.archive.scenes import archive, delivered, documents, export, prove, purge, put_away, verify, years_pass
from tests.flows.actions import ordered
from tests.house import House


def test_an_old_settled_order_is_copied_indexed_and_marked(house: House) -> None:
    [order_id] = delivered(house)
    years_pass(house)
    assert archive(house).orders == 1
    [row] = house.rows("SELECT * FROM archive.archive_index")
    assert (str(row["order_id"]), row["location"], row["version"], row["tier"]) == (order_id, "archived", 1, "standard")
    [document] = documents(house).values()
    assert sha256(document.encode()).digest() == bytes(row["checksum"])
    assert house.value("SELECT deleted_at FROM orders.orders") is not None
    assert house.violations() == []


def test_the_document_is_canonical_by_a_second_opinion(house: House) -> None:
    delivered(house, 2)
    years_pass(house)
    archive(house)
    for document in documents(house).values():
        assert canonical_text(parse_exactly(document)) == document
        assert house.value("SELECT CAST(:d AS jsonb)::text", d=document) == document


def test_nothing_personal_is_readable_in_the_document(house: House) -> None:
    delivered(house)
    years_pass(house)
    archive(house)
    [document] = documents(house).values()
    for personal in ("ada@example.com", "Analytical", "Lovelace", "80202", "39.75", "pm_card_visa"):
        assert personal not in document, personal


def test_orders_that_are_young_or_unsettled_stay(house: House) -> None:
    delivered(house)
    ordered(house)  # confirmed is not an end
    house.clock.advance(days=100)
    assert archive(house).orders == 0


def test_a_shop_whose_settings_reach_back_before_1970_keeps_its_orders_where_they_are(house: House) -> None:
    """A hundred years is the most that a setting takes: a shop's way to say that nothing is to be moved."""
    for name in ("archive_after_months", "archive_cold_after_months"):
        house.sql(
            "UPDATE tenancy.organizations SET settings = settings || jsonb_build_object(CAST(:name AS text), 1200)",
            name=name,
        )
    delivered(house)
    years_pass(house)
    assert archive(house).orders == 0
    exported = export(house)
    assert (exported.orders, exported.finished) == (0, True)
    assert house.value("SELECT tenancy.uuid_v7_floor('1926-11-30')") == UUID(int=0)
    assert house.value("SELECT tenancy.uuid_v7_floor('1970-01-01 00:00:00.001+00')") == UUID(int=1 << 80)


def test_the_copy_verifies_and_the_chain_is_proven(house: House) -> None:
    delivered(house, 3)
    years_pass(house)
    assert archive(house, batch_max_orders=2).batches == 2
    verified = verify(house)
    assert (verified.batches, verified.tally.checked, verified.tally.findings) == (2, 3, [])
    proof = prove(house)
    assert (proof.batches, proof.orders, proof.break_position) == (2, 3, None)


def test_what_is_verified_is_purged_after_its_grace_and_not_before(house: House) -> None:
    delivered(house, 2)
    years_pass(house)
    archive(house)
    verify(house)
    assert purge(house).orders == 0
    house.clock.advance(days=8)
    assert purge(house).orders == 2
    for table in (
        "orders.orders",
        "orders.order_items",
        "payments.payments",
        "payments.payment_events",
        "inventory.reservations",
        "orders.order_status_history",
    ):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table
    assert len(documents(house)) == 2
    assert purge(house).orders == 0


def test_a_run_that_is_repeated_changes_nothing(house: House) -> None:
    delivered(house, 2)
    years_pass(house)
    put_away(house)
    before = documents(house)
    put_away(house)
    assert documents(house) == before
    assert prove(house).batches == 1
