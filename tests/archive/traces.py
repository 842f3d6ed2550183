"""The traces of a shopper, and where they can still be read.

Every column of every table is searched, and every value of every file.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from tests.archive.scenes import objects
from tests.house import House

ADA = r"ada@|:ada|lovelace|analytical|\b80202\b"
"""Ada as every house knows her, in lower case. A postal code must stand alone, for digests contain five digits too."""


def pattern(words: Iterable[str] = ()) -> re.Pattern[str]:
    """Return a pattern of what identifies Ada, and of these words. A word stands alone, not within a UUID."""
    alone = (rf"(?<!\w)(?!(?<=[0-9a-f]{{4}}-)\w+-[0-9a-f]{{4}}){re.escape(word.lower())}(?!\w)" for word in words)
    return re.compile("|".join([ADA, *alone]))


def left_of(house: House, personal: re.Pattern[str] | None = None) -> dict[str, str]:
    """Return the tables and files in which something personal can still be read, with what it is.

    Reference data is left out.
    """
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
    """Return the same for the archive's bucket: the bytes of each object, and the values packed in Parquet files."""
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
