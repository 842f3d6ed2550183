"""Read a file of cold storage and prove it: every order in it is what was sealed, and agrees with its columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from holdfast.archive.merkle import leaf_hash, merkle_root
from holdfast.flows.archive.sealed_parts import as_array
from holdfast.runtime import Runtime
from holdfast.storage.order_files import file_digest, orders_said, read_rows
from holdfast.values.errors import HoldfastError

ACTOR: Final = "system:cold_export"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SAID_BY: Final = {
    "order_id": "id",
    "total_minor": "total",
    "refunded_minor": "refunded",
    **{name: name for name in ("order_number", "status", "payment_status", "fulfillment_status", "currency")},
}
"""Maps the columns of a file to the document's names for them."""
RowGroupLook = Callable[[int, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], None]
"""Receives a row group that was just proven: its number, its rows, and what their documents say about the orders."""


class UnprovenFile(HoldfastError):
    """The file that came back from the bucket is not what the archive holds, so nothing of it may be deleted here."""


@dataclass(slots=True)
class Contents:
    """What a file contains, counted while it is read back."""

    orders: int
    row_groups: int
    size_bytes: int
    digest: str
    merkle_root: str
    totals: dict[str, dict[str, int]]
    places: list[tuple[UUID, int, int]]


def prove_file(
    runtime: Runtime, organization_id: UUID, path: Path, now: datetime, look: RowGroupLook | None = None
) -> Contents:
    """Read a file and check every order in it against what was sealed, and against the columns beside it.

    Raises UnprovenFile.
    """
    leaves: list[bytes] = []
    places: list[tuple[UUID, int, int]] = []
    totals: dict[str, dict[str, int]] = {}
    row_groups = 0
    for number, rows, order_ids in _read(path):
        row_groups = number + 1
        sealed = _sealed(runtime, organization_id, order_ids, now)
        for order_id, row in zip(order_ids, rows, strict=True):
            version = row["version"]
            checksum = sha256(row["document"].encode()).digest()
            if f"{order_id} {version} {checksum.hex()}" not in sealed or row["checksum"] != checksum.hex():
                raise UnprovenFile(f"order {order_id}, version {version}, is not what was sealed")
            leaves.append(leaf_hash(order_id, version, checksum))
            places.append((order_id, version, number))
            total = totals.setdefault(row["currency"], {"orders": 0, "total_minor": 0, "refunded_minor": 0})
            total["orders"] += 1
            total["total_minor"] += row["total_minor"]
            total["refunded_minor"] += row["refunded_minor"]
        said = _check_columns(rows)
        if look is not None:
            look(number, rows, said)
    if len(set(places)) != len(places) or len({place[:2] for place in places}) != len(places):
        raise UnprovenFile("an order is in the file twice")
    root = merkle_root(leaves).hex()
    return Contents(len(places), row_groups, path.stat().st_size, file_digest(path).hex(), root, totals, places)


def _read(path: Path) -> Iterator[tuple[int, list[dict[str, Any]], list[UUID]]]:
    """Yield every row group as its number, its rows and the ids of their orders. Raises UnprovenFile."""
    try:
        for number, rows in read_rows(path):
            yield number, rows, [UUID(row["order_id"]) for row in rows]
    except ValueError as error:
        raise UnprovenFile(str(error)) from error


def _sealed(runtime: Runtime, organization_id: UUID, order_ids: Sequence[UUID], now: datetime) -> set[str]:
    """Return order, version and checksum of every leaf that the chain has for these orders."""
    with runtime.database.transaction(organization_id, now=now, actor=ACTOR) as transaction:
        leaves: str | None = transaction.value(
            """
            SELECT string_agg(l.order_id || ' ' || l.version || ' ' || encode(l.checksum, 'hex'), ',')
              FROM archive.batch_leaves l
             WHERE l.organization_id = :o AND l.order_id = ANY (CAST(:order_ids AS uuid[]))
            """,
            o=organization_id,
            order_ids=as_array(order_ids),
        )
    return set(leaves.split(",")) if leaves else set()


def _check_columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the documents say about their orders. Raises UnprovenFile where the columns say something else."""
    said = orders_said([row["document"] for row in rows])
    for row, says in zip(rows, said, strict=True):
        placed_after = datetime.fromisoformat(says["created_at"]) - _EPOCH
        differs = any(row[column] != says[name] for column, name in _SAID_BY.items())
        if differs or placed_after // _MICROSECOND != row["ordered_at"]:
            raise UnprovenFile(f"the columns of order {row['order_id']} say something else than its document")
    return said
