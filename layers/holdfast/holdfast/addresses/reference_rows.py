"""Reads postal codes for an import. Every row is either good or reported with what is wrong; none stops the rest.

A file is CSV with a header line: ``country,postal_code,latitude,longitude`` and optionally ``admin_area_1`` (the state
or province) and ``quality`` (default: ``centroid``).
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.addresses.model import GeocodeQuality
from holdfast.addresses.postal_code import normalized_postal_code

REQUIRED_COLUMNS: Final = ("country", "postal_code", "latitude", "longitude")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_QUALITIES: Final = frozenset(str(quality) for quality in GeocodeQuality)
_ADMIN_AREA_MAX_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """The position of a postal code. ``line`` is its line in the file."""

    line: int
    country: str
    postal_code: str
    latitude: float
    longitude: float
    quality: GeocodeQuality
    admin_area_1: str | None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out, and why."""

    line: int
    problem: str


def read_rows(lines: Iterable[str]) -> Iterator[ReferenceRow | BadRow]:
    """Yield the rows of a file in order. Raises ``ValueError`` when the header lacks a column."""
    numbered = enumerate(lines, start=1)
    header = next((_fields(text) for _, text in numbered), [])
    missing = [column for column in REQUIRED_COLUMNS if column not in header]
    if missing:
        raise ValueError(f"the header has no column {', '.join(missing)}")
    for number, text in numbered:
        if not text.strip():
            continue
        try:
            yield _row(number, header, _fields(text))
        except (ValueError, csv.Error) as error:
            yield BadRow(number, str(error))


def _fields(text: str) -> list[str]:
    """Parse one line on its own, so that an unclosed quotation mark does not swallow the lines after it."""
    return [field.strip() for field in next(csv.reader([text.replace("\0", "").strip("\r\n\ufeff")]), [])]


def _row(line: int, header: Sequence[str], fields: Sequence[str]) -> ReferenceRow:
    if len(fields) != len(header):
        raise ValueError(f"has {len(fields)} fields, the header {len(header)}")
    text = dict(zip(header, fields, strict=True))
    country = text["country"].upper()
    if not _COUNTRY.fullmatch(country):
        raise ValueError(f"country is not two letters: {text['country'][:20]!r}")
    postal_code = normalized_postal_code(country, text["postal_code"])
    if not postal_code:
        raise ValueError(f"postal_code is not one: {text['postal_code'][:20]!r}")
    quality = text.get("quality") or GeocodeQuality.CENTROID
    if quality not in _QUALITIES:
        raise ValueError(f"quality is none of ours: {quality[:20]!r}")
    latitude, longitude = _degrees(text, "latitude", 90), _degrees(text, "longitude", 180)
    if latitude == 0 == longitude:
        raise ValueError("latitude and longitude are both 0: an empty position, not one")
    admin_area = text.get("admin_area_1") or None
    if admin_area is not None and len(admin_area) > _ADMIN_AREA_MAX_CHARACTERS:
        raise ValueError(f"admin_area_1 is longer than {_ADMIN_AREA_MAX_CHARACTERS} characters")
    return ReferenceRow(line, country, postal_code, latitude, longitude, GeocodeQuality(quality), admin_area)


def _degrees(text: Mapping[str, str], name: str, limit: int) -> float:
    try:
        degrees = float(text[name])
    except ValueError:
        raise ValueError(f"{name} is not a number: {text[name][:20]!r}") from None
    if not (math.isfinite(degrees) and -limit <= degrees <= limit):
        raise ValueError(f"{name} is not between -{limit} and {limit}: {text[name][:20]!r}")
    return degrees
