"""Nothing that looks like a card number gets in: gateways' tokens do, PANs do not."""

import re
from typing import Final

_CANDIDATE: Final = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])")


def holds_card_number(text: str) -> bool:
    """Whether the text has 13 to 19 digits, perhaps grouped by spaces or dashes, that pass the Luhn check (ISO/IEC 7812)."""
    return any(_passes_luhn(re.sub(r"[ -]", "", match.group())) for match in _CANDIDATE.finditer(text))


def _passes_luhn(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
