"""The postal codes that ship with the code: those of the US. ``generate/geodata.py`` extracts them."""

import gzip
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

SHIPPED_SOURCE: Final = "zipcodes"
SHIPPED_VERSION: Final = "3.0.0"
FIRST_SHIPPED: Final = ("US", "00501")
"""One code of the dataset. If it is present in this version, all of them are, because they are imported together."""


def shipped_lines() -> Iterator[str]:
    """Return the lines of the file, as ``reference_rows.read_rows`` takes them."""
    packed = (files("holdfast.addresses") / "us_postal_codes.csv.gz").read_bytes()
    return iter(gzip.decompress(packed).decode().splitlines())
