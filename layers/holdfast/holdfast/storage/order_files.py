"""Files of archived orders: Parquet with typed columns to filter and sum by, and the document in a column of its own.

The typed columns contain no personal data. Only the function of cold storage imports this module.
"""

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from holdfast.storage.bucket import Bucket

ROW_GROUP_ORDERS: Final = 500
"""How many orders a row group has. An order is read with its whole row group, about 1 MB from S3, and there are few
enough groups to keep the footer small."""
FOOTER_GUESS_BYTES: Final = 512 * 1024
SCHEMA: Final = pa.schema(
    [
        pa.field("order_id", pa.string(), nullable=False),
        pa.field("version", pa.int32(), nullable=False),
        pa.field("order_number", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("payment_status", pa.string(), nullable=False),
        pa.field("fulfillment_status", pa.string(), nullable=False),
        pa.field("ordered_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("total_minor", pa.int64(), nullable=False),
        pa.field("refunded_minor", pa.int64(), nullable=False),
        pa.field("items", pa.int32(), nullable=False),
        pa.field("batch_id", pa.string(), nullable=False),
        pa.field("checksum", pa.string(), nullable=False),
        pa.field("document", pa.string(), nullable=False),
    ]
)
_REPEATED: Final = ["status", "payment_status", "fulfillment_status", "currency", "batch_id"]
_SUMMED: Final = [name for name in SCHEMA.names if name not in {"document", "checksum"}]

_ORDER_IN_DOCUMENT: Final = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("order_number", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("status", pa.string()),
        pa.field("payment_status", pa.string()),
        pa.field("fulfillment_status", pa.string()),
        pa.field("currency", pa.string()),
        pa.field("total", pa.int64()),
        pa.field("refunded", pa.int64()),
        pa.field("created_at", pa.string()),
    ]
)

Row = Mapping[str, Any]
"""The columns of one version of an order; ``ordered_at`` is in microseconds since 1970, UTC."""

_logger = logging.getLogger(__name__)


class OrderFileWriter:
    """Writes rows to a file on disk, one row group at a time, so that memory holds only one group."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            use_dictionary=_REPEATED,
            write_statistics=_SUMMED,
            version="2.6",
        )
        self._rows: list[Row] = []
        self.row_groups = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows, which come in the order of (order, version)."""
        self._rows.extend(rows)
        while len(self._rows) >= ROW_GROUP_ORDERS:
            self._write(self._rows[:ROW_GROUP_ORDERS])
            del self._rows[:ROW_GROUP_ORDERS]

    def close(self) -> None:
        """Write the remaining rows and the footer."""
        if self._rows:
            self._write(self._rows)
            self._rows = []
        self._writer.close()

    def _write(self, rows: Sequence[Row]) -> None:
        columns = [pa.array([row[field.name] for row in rows], field.type) for field in SCHEMA]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), row_group_size=len(rows))
        self.row_groups += 1


def read_rows(path: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield every row group of a file as its number and rows.

    Raises ValueError if the file cannot be read or has another schema.
    """
    try:
        with pq.ParquetFile(path) as opened:
            if not opened.schema_arrow.equals(SCHEMA):
                raise ValueError("the file has another schema")
            for number in range(opened.num_row_groups):
                table = opened.read_row_group(number)
                # Converting an instant to a Python object attempts to import pandas, every time; an integer does not.
                place = SCHEMA.get_field_index("ordered_at")
                table = table.set_column(place, "ordered_at", table.column(place).cast(pa.int64()))
                columns = [column.to_pylist() for column in table.columns]
                yield number, [dict(zip(SCHEMA.names, values, strict=True)) for values in zip(*columns, strict=True)]
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"the file cannot be read: {error}") from error


def orders_said(documents: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ids, states and totals of the orders in canonical documents, under the documents' own names.

    A document is one line, so all are parsed at once, and only these fields of each. Raises ValueError for anything
    that is not a document.
    """
    lines = "\n".join(documents).encode()
    table = pa.json.read_json(
        pa.BufferReader(lines),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        parse_options=pa.json.ParseOptions(
            explicit_schema=pa.schema([pa.field("order", _ORDER_IN_DOCUMENT)]), unexpected_field_behavior="ignore"
        ),
    )
    said: list[dict[str, Any]] = table.column("order").to_pylist()
    return said


def file_digest(path: Path) -> bytes:
    """Return the SHA-256 of a file, which is read in pieces."""
    digest = sha256()
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


def read_document(bucket: Bucket, key: str, row_group: int, order_id: UUID, version: int) -> str | None:
    """Return the document of one order, or ``None`` if it is not in the row group.

    This reads the footer once and the row group once. A file that can no longer be read gives an empty text, which is
    no order's document, so that the caller's verification fails. Raises NotFound or Transient.
    """
    try:
        with pq.ParquetFile(pa.PythonFile(_RangedObject(bucket, key), mode="r"), pre_buffer=True) as opened:
            if row_group >= opened.num_row_groups:
                return None
            rows = opened.read_row_group(row_group, columns=["order_id", "version", "document"]).to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        _logger.exception("the file %s cannot be read", key)
        return ""
    for row in rows:
        if row["order_id"] == str(order_id) and row["version"] == version:
            return str(row["document"])
    return None


def find_document(bucket: Bucket, key: str, order_id: UUID, version: int) -> tuple[int, str] | None:
    """Return the row group and the document of an order whose row group is unknown.

    The footer's statistics say which row groups may contain it. Returns ``None`` if it is not found or the file cannot
    be read. Raises NotFound or Transient.
    """
    wanted = str(order_id)
    place = SCHEMA.get_field_index("order_id")
    try:
        with pq.ParquetFile(pa.PythonFile(_RangedObject(bucket, key), mode="r"), pre_buffer=True) as opened:
            holds = [
                opened.metadata.row_group(number).column(place).statistics for number in range(opened.num_row_groups)
            ]
    except (OSError, pa.ArrowException):
        _logger.exception("the file %s cannot be read", key)
        return None
    for number, said in enumerate(holds):
        if said is not None and said.has_min_max and not said.min <= wanted <= said.max:
            continue
        text = read_document(bucket, key, number, order_id, version)
        if text:
            return number, text
    return None


class _RangedObject(io.RawIOBase):
    """An object as a file: its end is fetched once and kept, and everything else is read by range."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key = bucket, key
        self._end, self._size = bucket.tail(key, FOOTER_GUESS_BYTES)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        length = min(size if size >= 0 else self._size, self._size - self._at)
        if length <= 0:
            return b""
        begins = self._size - len(self._end)
        if self._at >= begins:
            found = self._end[self._at - begins : self._at - begins + length]
        else:
            found = self._bucket.range(self._key, self._at, length)
        self._at += length
        return found
