"""Import reference data: rows are staged beside the live ones, then all of them go live at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from holdfast.addresses.reference_rows import BadRow, ReferenceRow, read_rows
from holdfast.addresses.shipped_codes import FIRST_SHIPPED, SHIPPED_SOURCE, SHIPPED_VERSION, shipped_lines
from holdfast.runtime import Runtime
from holdfast.values.ids import uuid7

ACTOR: Final = "system:geocode_imports"
STAGING_BATCH_MAX_ROWS: Final = 5_000
BAD_ROWS_TOLD_MAX: Final = 100


@dataclass(slots=True)
class Imported:
    """What an import did. Every row is good or bad; a good row for a code that was named before is ``repeated``."""

    rows: int = 0
    bad: int = 0
    bad_rows: list[BadRow] = field(default_factory=list)
    """The first ``BAD_ROWS_TOLD_MAX`` bad rows."""
    repeated: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0


def import_geocodes(
    runtime: Runtime, lines: Iterable[str], clock: Callable[[], datetime], *, data_source: str, dataset_version: str
) -> Imported:
    """Import the rows of a CSV file (see ``addresses.reference_rows``), which may be larger than memory.

    Repeating an import changes nothing. An import that dies halfway has changed nothing either, and can be run again.
    Raises ``ValueError`` when the file's header lacks a column.
    """
    told = Imported()
    import_id = uuid7(clock())
    rows = _good_rows(read_rows(lines), told)
    while batch := list(islice(rows, STAGING_BATCH_MAX_ROWS)):
        _stage(runtime, import_id, batch, clock(), data_source, dataset_version)
    now = clock()
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        swapped = transaction.value("SELECT addresses.swap_in(:import_id, :now)", import_id=import_id, now=now)
    told.repeated, told.added = swapped["repeated"], swapped["added"]
    told.changed, told.unchanged = swapped["changed"], swapped["unchanged"]
    return told


def import_shipped_geocodes(runtime: Runtime, clock: Callable[[], datetime]) -> Imported | None:
    """Import the postal codes that ship with the code. Return ``None`` if they are there already."""
    country, postal_code = FIRST_SHIPPED
    with runtime.database.transaction(None, now=clock(), actor=ACTOR) as transaction:
        there = transaction.value(
            "SELECT true FROM addresses.geocode_reference WHERE country = :country AND postal_code = :postal_code"
            " AND data_source = :data_source AND dataset_version = :dataset_version",
            country=country,
            postal_code=postal_code,
            data_source=SHIPPED_SOURCE,
            dataset_version=SHIPPED_VERSION,
        )
    if there:
        return None
    return import_geocodes(runtime, shipped_lines(), clock, data_source=SHIPPED_SOURCE, dataset_version=SHIPPED_VERSION)


def _good_rows(rows: Iterable[ReferenceRow | BadRow], told: Imported) -> Iterator[ReferenceRow]:
    for row in rows:
        told.rows += 1
        if isinstance(row, ReferenceRow):
            yield row
            continue
        told.bad += 1
        if len(told.bad_rows) < BAD_ROWS_TOLD_MAX:
            told.bad_rows.append(row)


def _stage(
    runtime: Runtime,
    import_id: UUID,
    batch: Sequence[ReferenceRow],
    now: datetime,
    data_source: str,
    dataset_version: str,
) -> None:
    rows = [
        [row.line, row.country, row.postal_code, row.latitude, row.longitude, row.quality, row.admin_area_1]
        for row in batch
    ]
    with runtime.database.transaction(None, now=now, actor=ACTOR) as transaction:
        transaction.execute(
            """
            INSERT INTO addresses.geocode_import_staging
                (import_id, line, country, postal_code, latitude, longitude, quality, admin_area_1, data_source,
                 dataset_version)
            SELECT :import_id, (r ->> 0)::integer, r ->> 1, r ->> 2, (r ->> 3)::double precision,
                   (r ->> 4)::double precision, r ->> 5, r ->> 6, :data_source, :dataset_version
              FROM jsonb_array_elements(CAST(:batch AS jsonb) -> 'rows') AS r
            """,
            import_id=import_id,
            data_source=data_source,
            dataset_version=dataset_version,
            batch={"rows": rows},
        )
