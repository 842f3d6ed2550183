"""Identifiers: UUIDv7 (RFC 9562), made by the application from the same clock as everything else."""

import os
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ORDER_NUMBER_LENGTH: Final = 16


def uuid7(at: datetime) -> UUID:
    """A new UUIDv7 whose first 48 bits are ``at`` in Unix milliseconds (RFC 9562, section 5.7)."""
    milliseconds = int(at.timestamp() * 1000)
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def uuid7_time(identifier: UUID) -> datetime:
    """The instant (UTC, whole milliseconds) that a UUIDv7 was made at."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def order_number(order_id: UUID) -> str:
    """The number a person reads out: ``HF-`` and 16 symbols of Crockford's base 32 in groups of four.

    It is the id's 48 bits of time and its last 32 bits of randomness: derived, so there is no sequence to race on;
    unique by constraint; free of I, L, O and U, so that it survives a telephone.
    """
    value = (order_id.int >> 80) << 32 | (order_id.int & 0xFFFF_FFFF)
    symbols = [_CROCKFORD[value >> (5 * place) & 31] for place in range(_ORDER_NUMBER_LENGTH - 1, -1, -1)]
    text = "".join(symbols)
    return "HF-" + "-".join(text[start : start + 4] for start in range(0, _ORDER_NUMBER_LENGTH, 4))


def moment_of(number: str) -> tuple[UUID, UUID] | None:
    """The smallest and the largest id that an order of this number can have; ``None`` for what is no such number."""
    symbols = number.removeprefix("HF-").replace("-", "")
    if len(symbols) != _ORDER_NUMBER_LENGTH or not set(symbols) <= set(_CROCKFORD):
        return None
    value = 0
    for symbol in symbols:
        value = value << 5 | _CROCKFORD.index(symbol)
    milliseconds = value >> 32
    return UUID(int=milliseconds << 80), UUID(int=(milliseconds + 1 << 80) - 1)
