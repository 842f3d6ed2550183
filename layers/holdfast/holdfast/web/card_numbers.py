"""Detects card numbers, so that only gateways' tokens get in and primary account numbers (PAN) do not.

A card number has a length and a prefix that a card scheme issues (ISO/IEC 7812), and passes the Luhn check. Checking
all three spares telephone numbers, timestamps and identifiers, one in ten of which would pass for a card by its digits
and the Luhn check alone.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final

# Digits in groups, as people write them: 4111 1111-1111.1111. Adjacent letters make them part of something else.
_RUN: Final = re.compile(r"(?<![0-9A-Za-z])(\+?)([0-9](?:[\s._/\-\u2010-\u2015\u00b7]{0,3}[0-9])+)(?![0-9A-Za-z])")
_GROUP: Final = re.compile(r"[0-9]+")
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_LENGTH_MIN: Final = 14
_LENGTH_MAX: Final = 19
_TELEPHONE_MAX_DIGITS: Final = 15
"""The maximum length of a telephone number (E.164)."""

_ISSUED: Final = re.compile(
    r"4(?:\d{15}|\d{18})"  # Visa; its numbers of 13 digits are long gone
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|220[0-4])\d{12}"  # Mastercard, Mir
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-59]\d|[689]\d\d)\d{10,15}"  # Diners Club
    r"|35\d{14,17}"  # JCB
    r"|(?:6|5[06-9]|81)\d{14,17}"  # Discover, UnionPay, Maestro, RuPay
)


def holds_card_number(document: Any) -> bool:
    """Return whether any string or number in a JSON document (a mapping, a list, a string ...) looks like a card."""
    return any(_in_text(text) for text in _texts(document))


def _texts(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, int | float):
            yield str(value)


def _in_text(text: str) -> bool:
    if len(text) < _LENGTH_MIN:
        return False
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return any(_in_groups(*match.groups()) for match in _RUN.finditer(_UUID.sub(" ", plain)))


def _in_groups(plus: str, run: str) -> bool:
    """Return whether any consecutive whole groups form a card number, so that digits around it do not hide it."""
    groups = _GROUP.findall(run)
    if plus and sum(map(len, groups)) <= _TELEPHONE_MAX_DIGITS:
        return False
    return any(_ISSUED.fullmatch(digits) and _passes_luhn(digits) for digits in _successions(groups))


def _successions(groups: list[str]) -> Iterable[str]:
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) > _LENGTH_MAX:
                break
            if len(digits) >= _LENGTH_MIN:
                yield digits


def _passes_luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
