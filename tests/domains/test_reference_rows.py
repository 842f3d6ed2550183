"""Imported postal codes: a row is accepted or reported with what is wrong with it, and no row stops the rest."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.model import GeocodeQuality
from holdfast.addresses.reference_rows import BadRow, ReferenceRow, read_rows
from holdfast.addresses.shipped_codes import FIRST_SHIPPED, shipped_lines

HEADER = "country,postal_code,latitude,longitude,admin_area_1,quality"


def read(*lines: str) -> list[ReferenceRow | BadRow]:
    return list(read_rows([HEADER, *lines]))


def test_a_good_row_is_read_as_it_is_meant() -> None:
    assert read("us, 80202-1234 ,39.75,-105,CO,", '"CA","k1a 0b1","45.4","-75.7","Ontario, east","rooftop"') == [
        ReferenceRow(2, "US", "80202", 39.75, -105.0, GeocodeQuality.CENTROID, "CO"),
        ReferenceRow(3, "CA", "K1A0B1", 45.4, -75.7, GeocodeQuality.ROOFTOP, "Ontario, east"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("USA,80202,1,1,,", "country is not two letters"),
        ("U1,80202,1,1,,", "country is not two letters"),
        ("US,,1,1,,", "postal_code is not one"),
        ("US,----,1,1,,", "postal_code is not one"),
        ("US,80202,north,1,,", "latitude is not a number"),
        ("US,80202,nan,1,,", "latitude is not between"),
        ("US,80202,90.1,1,,", "latitude is not between"),
        ("US,80202,1,-180.5,,", "longitude is not between"),
        ("US,80202,1,inf,,", "longitude is not between"),
        ("US,80202,0.0000,0,,", "both 0"),
        ("US,80202,1,1,,perfect", "quality is none of ours"),
        ("US,80202,1,1", "has 4 fields, the header 6"),
        ("US,80202,1,1,,,,", "has 8 fields, the header 6"),
        ('US,"80202,1,1,,', "fields, the header 6"),
        ("US,80202,1,1," + "x" * 101 + ",", "admin_area_1 is longer"),
        ("x" * 200_000, "field larger than field limit"),
    ],
)
def test_a_bad_row_is_told_by_its_line_and_the_next_one_is_read(line: str, problem: str) -> None:
    bad, good = read(line, "US,80203,1,1,,")
    assert isinstance(bad, BadRow)
    assert (bad.line, problem in bad.problem) == (2, True), bad.problem
    assert isinstance(good, ReferenceRow)
    assert good.postal_code == "80203"


def test_a_file_without_its_columns_is_refused_whole() -> None:
    for header in ("", "country,zip,latitude,longitude", "\x00"):
        with pytest.raises(ValueError, match="postal_code"):
            list(read_rows([header, "US,80202,1,1"]))


def test_a_byte_order_mark_windows_line_ends_and_empty_lines_do_not_matter() -> None:
    rows = list(read_rows(["\ufeffcountry,postal_code,latitude,longitude\r\n", "US,80202,1,1\r\n", "\r\n", ""]))
    assert [type(row) for row in rows] == [ReferenceRow]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"), max_size=60), max_size=20))
def test_whatever_a_file_holds_every_line_is_good_or_bad(lines: list[str]) -> None:
    rows = read(*lines)
    assert len(rows) == sum(1 for line in lines if line.strip())
    assert [row.line for row in rows] == [number for number, line in enumerate(lines, 2) if line.strip()]


def test_what_ships_with_the_code_is_every_us_postal_code_that_has_a_position() -> None:
    rows = list(read_rows(shipped_lines()))
    good = {(row.country, row.postal_code): row for row in rows if isinstance(row, ReferenceRow)}
    assert len(good) == len(rows) == 41_917
    assert {country for country, _ in good} == {"US"}
    assert FIRST_SHIPPED in good
    denver = good["US", "80202"]
    assert abs(denver.latitude - 39.75) < 0.05
    assert abs(denver.longitude + 105.0) < 0.05
    assert denver.admin_area_1 == "CO"


def test_the_shipped_file_is_small() -> None:
    assert len(gzip.compress("\n".join(shipped_lines()).encode(), 9)) < 1_500_000
