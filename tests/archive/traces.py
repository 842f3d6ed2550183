"""What tells of a shopper, and where it is still to be read: every column of every table, every value of every file."""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from tests.archive.scenes import objects
from tests.house import House

ADA = r"ada@|:ada|lovelace|analytical|\b80202\b"
"""Ada, as every house knows her, in small letters. A postal code stands alone: five digits are found in a digest."""


def pattern(words: Iterable[str] = ()) -> re.Pattern[str]:
    """What tells of Ada, and these words besides, which stand alone."""
    return re.compile("|".join([ADA, *(rf"(?<!\w){re.escape(word.lower())}(?!\w)" for word in words)]))


def left_of(house: House, personal: re.Pattern[str] | None = None) -> dict[str, str]:
    """The tables and files in which something personal is still to be read, with what is; no reference data."""
    personal = personal or pattern()
    tables = house.rows(
        "SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind = 'r'"
        " AND c.oid <> 'addresses.geocode_reference'::regclass"
    )
    found = {}
    for table in tables:
        for row in house.rows(f"SELECT lower(t::text) AS said FROM {table['name']} t"):
            if personal.search(row["said"]):
                found[table["name"]] = ", ".join(sorted(set(personal.findall(row["said"])))) + ": " + row["said"]
    if "ARCHIVE_BUCKET" in house.environment:
        found |= left_in_files(house, personal)
    return found


def left_in_files(house: House, personal: re.Pattern[str]) -> dict[str, str]:
    """The same of the archive's bucket: the bytes of each object, and what a Parquet file has packed in them."""
    found = {}
    with TemporaryDirectory() as folder:
        for key, body in objects(house).items():
            said = [body.decode("latin-1")]
            if key.endswith(".parquet"):
                file = Path(folder) / "orders.parquet"
                file.write_bytes(body)
                said += [str(row) for row in duckdb.read_parquet(str(file)).fetchall()]
            for text in said:
                if match := personal.search(f"{key} {text}".lower()):
                    found[key] = match[0]
    return found
