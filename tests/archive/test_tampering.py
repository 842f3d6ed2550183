"""Whatever is altered, removed or duplicated is found, named and marked, and blocks the purge."""

import io
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from holdfast.flows.archive.archived_documents import AlteredDocument
from holdfast.runtime import Runtime
from holdfast.storage.order_files import OrderFileWriter
from holdfast.values.errors import NotFound
from tests.archive.scenes import (
    archive,
    asked_for,
    bucket,
    cold,
    delivered,
    documents,
    export,
    parquet,
    prove,
    prove_cold,
    purge,
    scan,
    spot,
    verify,
    years_pass,
)
from tests.house import House

FIRST_ORDER = "(SELECT order_id FROM archive.batch_leaves ORDER BY order_id LIMIT 1)"
FIRST = f"order_id = {FIRST_ORDER}"
A_COPY = f"""
    INSERT INTO archive.archived_orders
    SELECT organization_id, order_id, 2, batch_id, order_number, customer_id, status, payment_status,
           fulfillment_status, ordered_at, currency, total, refunded, items, document
      FROM archive.archived_orders WHERE {FIRST}
"""
TAMPERING: dict[str, tuple[str, str, str]] = {
    "one byte of a document": (
        f"UPDATE archive.archived_orders SET document = overlay(document PLACING 'x' FROM 40) WHERE {FIRST}",
        "inconsistent",
        "the archived document is not the one that was sealed",
    ),
    "a sum beside the document": (
        f"UPDATE archive.archived_orders SET total = total + 1 WHERE {FIRST}",
        "inconsistent",
        "the archived row says something else than its document",
    ),
    "a checksum in the index": (
        f"UPDATE archive.archive_index SET checksum = set_byte(checksum, 3, get_byte(checksum, 3) # 1) WHERE {FIRST}",
        "inconsistent",
        "the checksum in the index is not the one that was sealed",
    ),
    "a sum in the index": (
        f"UPDATE archive.archive_index SET total = total + 1 WHERE {FIRST}",
        "inconsistent",
        "the index says something else than the archived row",
    ),
    "a deleted document": (
        f"DELETE FROM archive.archived_orders WHERE {FIRST}",
        "missing",
        "the archived document is gone",
    ),
    "a deleted index row": (
        f"DELETE FROM archive.archive_index WHERE {FIRST}",
        "missing",
        "the index does not know the order",
    ),
    "a doubled document": (A_COPY, "duplicate", "there is an archived document that no batch knows"),
    "an order that is active as well": (
        f"UPDATE orders.orders SET deleted_at = NULL WHERE id = {FIRST_ORDER}",
        "duplicate",
        "the order is both active and archived",
    ),
    "a changed source": (
        f"UPDATE orders.order_items SET sku = 'OTHER' WHERE {FIRST}",
        "inconsistent",
        "the active rows are not what was archived",
    ),
    "a personal part of the source": (
        f"UPDATE orders.orders SET email = 'other@example.com' WHERE id = {FIRST_ORDER}",
        "inconsistent",
        "the active rows are not what was archived",
    ),
}


@pytest.fixture
def filed(house: House) -> House:
    delivered(house, 2)
    years_pass(house)
    archive(house)
    return house


class Heard:
    """Stands in for the alert topic."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    def publish(self, subject: str, facts: Any) -> None:
        self.subjects.append(subject)


def heard(runtime: Runtime) -> Heard:
    made = Heard()
    runtime.__dict__["alerts"] = made
    return made


@pytest.mark.parametrize("look", [verify, scan, spot], ids=["after archiving", "full scan", "spot check"])
@pytest.mark.parametrize("what", ["one byte of a document", "a checksum in the index", "a deleted document"])
def test_every_look_finds_it(filed: House, what: str, look: Callable[[House], Any]) -> None:
    statement, kind, details = TAMPERING[what]
    filed.sql(statement)
    assert {(found.kind, found.details) for found in look(filed).tally.findings} == {(kind, details)}


@pytest.mark.parametrize("what", sorted(TAMPERING))
def test_it_is_found_named_alerted_and_blocks_the_purge_until_it_is_put_right(filed: House, what: str) -> None:
    alerts = heard(filed.system)
    statement, kind, details = TAMPERING[what]
    filed.sql(statement)
    verified = verify(filed)
    assert verified.failed_batches == 1
    assert (kind, details) in [(found.kind, found.details) for found in verified.tally.findings]
    assert verified.tally.orders_found == 1
    assert alerts.subjects == ["[holdfast] high: archived orders are not as they were sealed"]
    assert filed.failures() == ["ArchiveVerification"]
    open_ones = filed.rows("SELECT kind, details, order_id FROM archive.discrepancies WHERE resolved_at IS NULL")
    assert (kind, details) in [(row["kind"], row["details"]) for row in open_ones]
    marked = filed.value("SELECT max(verification) FILTER (WHERE verification <> 'ok') FROM archive.archive_index")
    assert marked == (None if what == "a deleted index row" else kind)
    filed.clock.advance(days=30)
    assert (purge(filed).orders, purge(filed).blocked_batches) == (0, 1)
    assert filed.value("SELECT status FROM archive.archive_batches") == "failed"


def test_what_is_right_again_is_resolved_on_the_record_and_purged(filed: House) -> None:
    filed.sql(f"UPDATE archive.archive_index SET total = total + 1 WHERE {FIRST}")
    scan(filed)
    assert filed.value("SELECT count(*) FROM archive.discrepancies WHERE resolved_at IS NULL") == 1
    filed.sql(f"UPDATE archive.archive_index SET total = total - 1 WHERE {FIRST}")
    verify(filed)
    [row] = filed.rows("SELECT resolved_by, resolution FROM archive.discrepancies")
    assert row == {
        "resolved_by": "system:archive_verification",
        "resolution": "looked at again: it is no longer so",
    }
    filed.clock.advance(days=8)
    assert purge(filed).orders == 2


REMOVED_EVERYWHERE = f"""
    WITH gone AS (SELECT {FIRST_ORDER} AS order_id),
         leaf AS (DELETE FROM archive.batch_leaves l USING gone g WHERE l.order_id = g.order_id),
         copy AS (DELETE FROM archive.archived_orders a USING gone g WHERE a.order_id = g.order_id)
    DELETE FROM archive.archive_index x USING gone g WHERE x.order_id = g.order_id
"""
CHAIN: dict[str, tuple[str, str]] = {
    "a leaf is altered": (
        f"UPDATE archive.batch_leaves SET checksum = sha256('other') WHERE {FIRST}",
        "its leaves are not those it was sealed with",
    ),
    "an order is removed everywhere": (REMOVED_EVERYWHERE, "the batch has 1 orders and 0 leaves"),
    "a batch is sealed anew": (
        "UPDATE archive.archive_batches SET root = sha256('other') WHERE chain_position = 1",
        "its root is not the one of what it holds",
    ),
}


@pytest.mark.parametrize("what", sorted(CHAIN))
def test_the_chain_names_its_first_break(house: House, what: str) -> None:
    delivered(house, 3)
    years_pass(house)
    archive(house, batch_max_orders=1)
    statement, reason = CHAIN[what]
    house.sql(statement)
    proof = prove(house)
    assert (proof.break_position, proof.break_reason) == (1, reason)
    assert proof.break_batch_id == house.value("SELECT id FROM archive.archive_batches WHERE chain_position = 1")
    assert house.failures() == ["ArchiveVerification"]


def test_a_tail_that_was_cut_off_is_missed_by_the_head(house: House) -> None:
    delivered(house, 2)
    years_pass(house)
    archive(house, batch_max_orders=1)
    for table in ("archive_index", "batch_leaves", "archive_batches"):
        column = "id" if table == "archive_batches" else "batch_id"
        house.sql(
            f"DELETE FROM archive.{table} WHERE {column} ="
            " (SELECT id FROM archive.archive_batches ORDER BY chain_position DESC LIMIT 1)"
        )
    proof = prove(house)
    assert (proof.break_position, proof.break_reason) == (2, "the head stands at position 2, the last batch at 1")


def tampered(house: House, body: bytes) -> None:
    key, _ = parquet(house)
    bucket(house).Object(key).put(Body=body)


def test_a_flipped_byte_in_a_file_is_found_named_alerted_and_keeps_the_months_rows(house: House) -> None:
    """The byte flips between writing and proving.

    The file is given up and no row is dropped. The next run writes another file.
    """
    cold(house)
    real = house.system.archive_bucket.put_if_absent

    def put(key: str, body: Any, content_type: str) -> bool:
        if not key.endswith(".parquet"):
            return real(key, body, content_type)
        content = bytearray(body.read())
        content[len(content) // 2] ^= 1
        return real(key, io.BytesIO(bytes(content)), content_type)

    house.system.archive_bucket.put_if_absent = put  # type: ignore[method-assign]
    exported = export(house)
    assert (exported.orders, exported.unproven_files, exported.months_dropped) == (0, 1, 0)
    assert len(documents(house)) == 3
    assert house.value("SELECT count(*) FROM archive.archive_index WHERE location = 'cold_storage'") == 0
    assert house.failures() == ["ColdExport"]
    house.system.archive_bucket.put_if_absent = real  # type: ignore[method-assign]
    assert export(house).months_dropped == 1


def test_a_flipped_byte_in_a_file_is_found_long_after_and_no_altered_order_is_shown(house: House) -> None:
    order_ids = cold(house)
    export(house)
    before = {order_id: house.order(order_id) for order_id in order_ids}
    key, body = parquet(house)
    at = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(13)
    place = at.data_page_offset + at.total_compressed_size // 2  # in the compressed documents
    tampered(house, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
    assert prove_cold(house).broken == [f"{key}: the file is not what it was"]
    assert house.failures() == ["ColdExport"]
    found = house.rows("SELECT kind, details FROM archive.discrepancies WHERE resolved_at IS NULL")
    assert found == [{"kind": "inconsistent", "details": f"{key}: the file is not what it was"}]
    refused = 0
    for order_id, view in before.items():
        try:
            assert house.order(order_id) == view
        except AlteredDocument:
            refused += 1
    assert refused >= 1
    with pytest.raises(NotFound):
        asked_for(house)  # no file of the month is proven any more
    tampered(house, body)
    assert prove_cold(house).broken == []
    scan(house)
    assert house.value("SELECT count(*) FROM archive.discrepancies WHERE resolved_at IS NULL") == 0
    assert house.value("SELECT state FROM archive.cold_files") == "verified"
    assert [house.order(order_id)["id"] for order_id in order_ids] == order_ids


def test_an_order_that_is_twice_in_a_file_is_not_let_pass(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    cold(house)
    real = OrderFileWriter.add
    monkeypatch.setattr(OrderFileWriter, "add", lambda writer, rows: real(writer, [*rows, rows[-1]]))
    assert (export(house).unproven_files, len(documents(house))) == (1, 3)
