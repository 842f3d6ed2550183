"""Error classes: what people know of a kind of failure, which dead letters are of it, and whether it heals itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final
from uuid import UUID

SUCCESSES_MIN: Final = 10
"""How many replays of a class must have succeeded before it may be replayed automatically."""
COOLDOWN_HOURS: Final = 24
"""How long a class whose auto-replay failed leaves its dead letters to people."""
_ESCAPE: Final = "\\"
_ANY: Final = ""
"""In a piece of a pattern: any one character."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a class is matched against: the event that failed, and why it failed."""

    event_type: str
    gateway: str
    failure_code: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """One class and the counts of its replays. A criterion of ``None`` matches any value, and no value."""

    id: UUID
    match_order: int
    event_type: str | None
    gateway_pattern: str | None
    failure_code_pattern: str | None
    message_keywords: tuple[str, ...]
    auto_replay_enabled: bool
    auto_replay_delay_seconds: int
    min_confidence: Decimal
    successful_replays: int
    failed_replays: int
    cooldown_until: datetime | None

    def matches(self, failure: Failure) -> bool:
        """Return whether the failure meets every criterion."""
        reason = failure.reason.casefold()
        return (
            self.event_type in (None, failure.event_type)
            and _meets(failure.gateway, self.gateway_pattern)
            and _meets(failure.failure_code, self.failure_code_pattern)
            and all(keyword.casefold() in reason for keyword in self.message_keywords)
        )

    def is_in_cooldown(self, now: datetime) -> bool:
        """Return whether an auto-replay failed within the last ``COOLDOWN_HOURS``."""
        return self.cooldown_until is not None and now < self.cooldown_until

    def replays_by_itself(self, now: datetime) -> bool:
        """Return whether its dead letters are replayed automatically."""
        return self.auto_replay_enabled and not self.is_in_cooldown(now)

    @property
    def has_earned_auto_replay(self) -> bool:
        """Whether it may be switched to auto-replay, and stay so."""
        return has_earned_auto_replay(self.successful_replays, self.failed_replays, self.min_confidence)

    def after_success(self) -> "ErrorClass":
        """Return the class as it is after a replay succeeded."""
        return replace(self, successful_replays=self.successful_replays + 1)

    def after_failure(self, now: datetime, *, automatic: bool) -> "ErrorClass":
        """Return the class as it is after a replay failed.

        A failed automatic replay starts its cooldown. Auto-replay is switched off if the class no longer has earned it.
        """
        failed = replace(self, failed_replays=self.failed_replays + 1)
        return replace(
            failed,
            auto_replay_enabled=self.auto_replay_enabled and failed.has_earned_auto_replay,
            cooldown_until=now + timedelta(hours=COOLDOWN_HOURS) if automatic else self.cooldown_until,
        )


def confidence(successes: int, failures: int) -> Fraction | None:
    """Return the share of successes among all replays as an exact percentage; ``None`` before the first."""
    return Fraction(100 * successes, successes + failures) if successes + failures else None


def has_earned_auto_replay(successes: int, failures: int, min_confidence: Decimal) -> bool:
    """Return whether enough replays succeeded (``SUCCESSES_MIN``) and the class's minimum confidence is reached."""
    known = confidence(successes, failures)
    return successes >= SUCCESSES_MIN and known is not None and known >= Fraction(min_confidence)


def first_match(classes: Iterable[ErrorClass], failure: Failure) -> ErrorClass | None:
    """Return the class of a failure: the first that matches, in the order people gave them."""
    return next(
        (each for each in sorted(classes, key=lambda each: each.match_order) if each.matches(failure)),
        None,
    )


def is_like_pattern(pattern: str) -> bool:
    """Return whether PostgreSQL accepts the pattern: one that ends with its escape character is an error there."""
    return (len(pattern) - len(pattern.rstrip(_ESCAPE))) % 2 == 0


def like(text: str, pattern: str) -> bool:
    r"""Return what ``text LIKE pattern`` yields in PostgreSQL.

    ``%`` is any characters, ``_`` is one, and ``\`` makes the next one literal. Each piece between two ``%`` is
    searched for once, from where the last one ended, so no pattern takes long. Raises ValueError for a pattern that
    PostgreSQL would not accept.
    """
    pieces = _pieces(pattern)
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return len(text) == len(first) and _is_at(text, 0, first)
    end = len(text) - len(last)
    if len(first) > end or not _is_at(text, 0, first) or not _is_at(text, end, last):
        return False
    position = len(first)
    for piece in pieces[1:-1]:
        while not _is_at(text, position, piece):
            position += 1
            if position + len(piece) > end:
                return False
        position += len(piece)
        if position > end:
            return False
    return True


def _meets(value: str | None, pattern: str | None) -> bool:
    """Return whether the value meets the pattern.

    A pattern that cannot be read matches nothing, because it must not keep an event from being buried.
    """
    if pattern is None:
        return True
    return value is not None and is_like_pattern(pattern) and like(value, pattern)


def _pieces(pattern: str) -> list[list[str]]:
    """Split the pattern at each ``%``; a piece is its characters, with ``_ANY`` for any one."""
    if not is_like_pattern(pattern):
        raise ValueError("a LIKE pattern must not end with its escape character")
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "%":
            pieces.append([])
        elif character == "_":
            pieces[-1].append(_ANY)
        else:
            pieces[-1].append(next(characters) if character == _ESCAPE else character)
    return pieces


def _is_at(text: str, position: int, piece: Sequence[str]) -> bool:
    return position + len(piece) <= len(text) and all(
        wanted in (_ANY, text[position + offset]) for offset, wanted in enumerate(piece)
    )
