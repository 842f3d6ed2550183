"""The index of cold orders: proven with their files, mended where it names a wrong place, trusted in nothing else."""

from uuid import UUID

import pytest

from holdfast.flows.archive.archived_documents import AlteredDocument
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.orders.find_order import find_order
from holdfast.storage import order_files
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound
from tests.archive.scenes import cold, export, prove_cold, put_away, years_pass
from tests.flows.actions import guest, staff
from tests.house import House


@pytest.fixture
def frozen(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Three orders in one file with two row groups."""
    monkeypatch.setattr(order_files, "ROW_GROUP_ORDERS", 2)
    cold(house)
    export(house)
    return house


def index(house: House) -> list[dict[str, object]]:
    return [
        {name: value for name, value in row.items() if name not in {"last_verified_at", "updated_at"}}
        for row in house.rows("SELECT * FROM archive.archive_index ORDER BY order_id")
    ]


def repairs(house: House) -> list[tuple[int, list[str]]]:
    rows = house.rows(
        "SELECT resolved, details FROM archive.reconciliation_log WHERE type = 'location_repair' ORDER BY id"
    )
    return [(row["resolved"], [each["details"] for each in row["details"]["findings"]]) for row in rows]


def standing(house: House) -> list[str]:
    rows = house.rows("SELECT details FROM archive.discrepancies WHERE resolved_at IS NULL ORDER BY details")
    return [row["details"] for row in rows]


@pytest.mark.parametrize("by", ["id", "number"])
def test_an_order_in_cold_storage_that_the_index_forgot_is_served_and_the_index_mended(frozen: House, by: str) -> None:
    before = index(frozen)
    [*_, last] = before
    view = frozen.order(str(last["order_id"]))
    frozen.sql("DELETE FROM archive.archive_index WHERE order_id = :id", id=last["order_id"])
    assert frozen.order(str(last["order_id"] if by == "id" else last["order_number"])) == view
    assert index(frozen) == before
    assert repairs(frozen) == [(1, ["the index does not know the order"])]


def test_an_order_that_was_never_sealed_is_looked_for_in_no_file(
    frozen: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    real = frozen.runtime.archive_bucket.tail
    monkeypatch.setattr(frozen.runtime.archive_bucket, "tail", lambda *a: (reads.append(a[0]), real(*a))[1])
    order_id = index(frozen)[0]["order_id"]
    assert isinstance(order_id, UUID)
    with pytest.raises(NotFound):
        frozen.order(str(UUID(int=order_id.int + 1)))
    assert reads == []


def test_a_lost_entry_is_no_way_to_see_somebody_elses_order(frozen: House) -> None:
    order_id = str(index(frozen)[0]["order_id"])
    frozen.sql("DELETE FROM archive.archive_index")
    with pytest.raises(NotFound):
        find_order(frozen.runtime, guest(frozen), order_id, frozen.clock())
    assert find_order(frozen.runtime, staff(frozen), order_id, frozen.clock())["id"] == order_id


def test_a_lost_entry_comes_back_with_its_hold(frozen: House) -> None:
    order_id = index(frozen)[0]["order_id"]
    frozen.sql(
        "INSERT INTO archive.legal_holds (organization_id, id, order_id, customer_id, reason, placed_by, created_at)"
        " SELECT organization_id, gen_random_uuid(), order_id, customer_id, 'a case', 'test', now()"
        "   FROM archive.archive_index WHERE order_id = :id",
        id=order_id,
    )
    before = index(frozen)
    assert before[0]["legal_hold"] is True
    frozen.sql("DELETE FROM archive.archive_index")
    assert prove_cold(frozen).mended == 3
    assert index(frozen) == before


MENDED = {
    "another row group": "UPDATE archive.archive_index SET cold_row_group = 1 - cold_row_group",
    "a file that there is not": "UPDATE archive.archive_index SET cold_path = 'orders/none.parquet'",
    "a tier without a copy": "UPDATE archive.archive_index SET location = 'archived', cold_path = NULL,"
    " cold_row_group = NULL",
    "brought back, and it is not there": "UPDATE archive.archive_index SET location = 'restored'",
}


@pytest.mark.parametrize("what", sorted(MENDED))
def test_a_wrong_place_is_mended_by_the_proof_on_the_record(frozen: House, what: str) -> None:
    before = index(frozen)
    frozen.sql(MENDED[what])
    proof = prove_cold(frozen)
    assert (proof.mended, proof.wrong, proof.broken) == (3, 0, [])
    assert index(frozen) == before
    assert repairs(frozen) == [(3, ["the index names another place"] * 3)]
    assert prove_cold(frozen).mended == 0


WRONG = {
    "a sum": "UPDATE archive.archive_index SET total = total + 1 {where}",
    "a customer": "UPDATE archive.archive_index SET customer_id = gen_random_uuid() {where}",
    "a time": "UPDATE archive.archive_index SET ordered_at = ordered_at + interval '1 s' {where}",
    "a payment's status": "UPDATE archive.archive_index SET payment_status = 'unpaid' {where}",
    "a checksum": "UPDATE archive.archive_index SET checksum = sha256('other') {where}",
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_what_the_index_says_otherwise_stands_open_and_is_not_mended(frozen: House, what: str) -> None:
    before = index(frozen)
    order_id = before[0]["order_id"]
    frozen.sql(WRONG[what].format(where=f"WHERE order_id = '{order_id}'"))
    altered = index(frozen)
    proof = prove_cold(frozen)
    assert (proof.mended, proof.wrong, proof.broken) == (0, 1, [])
    found = {
        "a checksum": "the checksum in the index is not the one that was sealed",
    }.get(what, "the index says something else than the document in cold storage")
    assert standing(frozen) == [found]
    assert index(frozen) == [{**altered[0], "verification": "inconsistent"}, *altered[1:]]
    assert frozen.failures() == ["ArchiveVerification"]
    frozen.sql(
        "UPDATE archive.archive_index SET total = :total, customer_id = :customer_id, ordered_at = :ordered_at,"
        " payment_status = :payment_status, checksum = :checksum WHERE order_id = :order_id",
        **{
            name: before[0][name]
            for name in ("order_id", "total", "customer_id", "ordered_at", "payment_status", "checksum")
        },
    )
    assert (prove_cold(frozen).wrong, standing(frozen), index(frozen)) == (0, [], before)


def test_an_entry_that_names_a_file_which_does_not_have_its_order_is_found(frozen: House) -> None:
    years_pass(frozen, 0.1)
    [other] = cold(frozen, 1)
    path = frozen.value("SELECT path FROM archive.cold_files")
    frozen.sql(
        "UPDATE archive.archive_index SET location = 'cold_storage', cold_path = :path, cold_row_group = 0"
        " WHERE order_id = :id",
        path=path,
        id=UUID(other),
    )
    month = frozen.value(
        "SELECT date_trunc('month', ordered_at)::date FROM archive.archive_index WHERE order_id = :id", id=UUID(other)
    )
    frozen.sql("UPDATE archive.cold_files SET month = :month", month=month)
    assert prove_cold(frozen).wrong == 1
    assert standing(frozen) == ["the archived document is gone"]


def test_no_order_is_shown_to_whom_the_index_alone_calls_its_customer(house: House) -> None:
    cold(house)
    order_id = index(house)[0]["order_id"]
    other = Caller(house.organization_id, house.customer.kind, "eve", "eve@example.com")
    house.sql(
        "INSERT INTO tenancy.customers SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(),"
        " 'auth_subject', 'eve', 'email', 'eve@example.com'))).* FROM tenancy.customers c"
        " WHERE c.email = 'ada@example.com'"
    )
    house.sql(
        "UPDATE archive.archive_index SET customer_id = (SELECT id FROM tenancy.customers WHERE auth_subject = 'eve')"
        " WHERE order_id = :id",
        id=order_id,
    )
    with pytest.raises(AlteredDocument):
        find_order(house.runtime, other, str(order_id), house.clock())
    assert standing(house) == ["the index names another customer than the document"]
    assert house.failures() == ["ArchiveVerification"]


def test_an_order_that_came_back_from_a_file_and_went_again_is_in_neither_of_them_wrong(frozen: House) -> None:
    order_id = index(frozen)[0]["order_id"]
    assert isinstance(order_id, UUID)
    restore_order(frozen.runtime, frozen.organization_id, order_id, frozen.clock(), "system:test", "a test")
    put_away(frozen)
    proof = prove_cold(frozen)
    assert (proof.mended, proof.wrong) == (0, 0)
    years_pass(frozen)
    export(frozen)
    proof = prove_cold(frozen)
    assert (proof.files, proof.mended, proof.wrong) == (2, 0, 0)
