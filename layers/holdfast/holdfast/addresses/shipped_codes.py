"""The postal codes that ship with the code: those of the US. ``local/geodata.py`` extracts them."""

import gzip
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

SHIPPED_SOURCE: Final = "zipcodes"
SHIPPED_VERSION: Final = "3.0.0"
FIRST_SHIPPED: Final = ("US", "00501")
"""A code of the dataset: where it is there in this version, all of them are, for they came at once."""


def shipped_lines() -> Iterator[str]:
    """The lines of the file, as ``reference_rows.read_rows`` takes them."""
    packed = (files("holdfast.addresses") / "us_postal_codes.csv.gz").read_bytes()
    return iter(gzip.decompress(packed).decode().splitlines())
