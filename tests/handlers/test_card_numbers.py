"""What is a card number, and what only looks like one at first sight."""

import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.values.ids import order_number, uuid7
from holdfast.web.card_numbers import holds_card_number

# The test numbers that gateways publish.
CARDS = [
    "4242424242424242",
    "4000056655665556",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "3056930009020004",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "6759649826438453",
    "2200000000000004",
    "4917610000000000003",
]
SHAPES = [
    "{}",
    "card {} exp 12/29",
    "12/29 {}",
    "1 {} 1",
    "{}, {}",
    "({})",
    "#{}#",
    "number={}&cvc=123",
    "+{}",
]


def grouped(digits: str, separator: str) -> str:
    return separator.join(digits[start : start + 4] for start in range(0, len(digits), 4))


@pytest.mark.parametrize("digits", CARDS)
def test_a_card_number_is_found_however_it_is_written(digits: str) -> None:
    for shape in SHAPES:
        if shape == "+{}" and len(digits) <= 15:
            continue
        for separator in ("", " ", "-", ".", "  ", " - ", "\n", "\u00a0", "\u2011", "_", "/"):
            text = shape.format(*[grouped(digits, separator)] * shape.count("{}"))
            assert holds_card_number({"a": [{"b": text}]}), text
    assert holds_card_number({"a": int(digits)})
    assert holds_card_number({digits: None})


@pytest.mark.parametrize("digits", CARDS)
def test_a_number_that_fails_luhn_is_no_card(digits: str) -> None:
    wrong = digits[:-1] + str((int(digits[-1]) + 1) % 10)
    assert not holds_card_number(wrong)


def test_identifiers_are_no_cards() -> None:
    seed = 20_251_120
    chance = random.Random(seed)
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    for _ in range(20_000):
        at = begin + timedelta(seconds=chance.randrange(10**9))
        for text in (str(uuid7(at)), order_number(uuid7(at)), str(uuid.UUID(int=chance.getrandbits(128)))):
            assert not holds_card_number({"variant_id": text}), text


def test_identifiers_of_digits_alone_are_no_cards() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        digits = "".join(chance.choices("0123456789", k=32))
        text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        assert not holds_card_number(text), text


def test_telephone_numbers_times_and_amounts_are_no_cards() -> None:
    chance = random.Random(11)
    for _ in range(20_000):
        german, austrian = f"+49 15{chance.randrange(10**9):09}", f"+43 6{chance.randrange(10**11):011}"
        without_plus = f"4915{chance.randrange(10**9):09}"
        microseconds = str(1_763_596_800_000_000 + chance.randrange(10**12))
        for text in (german, austrian, without_plus, microseconds, "2025-11-20T00:00:00.123456+00:00", "999999.99"):
            assert not holds_card_number(text), text
