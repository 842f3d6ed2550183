"""Money and dates as readers of a language write them. The time and its timezone are always passed in."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holdfast.values.money import Money, currency_exponent

NO_BREAK: Final = "\u00a0"
_NARROW: Final = "\u202f"
_SIGNS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
"""Signs that cannot be mistaken for another currency's. Every other currency is written by its code."""
_SEPARATORS: Final = {"en": (",", "."), "de": (".", ","), "fr": (_NARROW, ",")}
_MONTHS: Final = {
    "en": (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
        "Dezember",
    ),
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
        "décembre",
    ),
}  # fmt: skip


def money_text(money: Money, language: str) -> str:
    """Return an amount with all the decimals of its currency: $1,234.50 · 1.234,50 € · ¥1,234 · 1,234.500 KWD."""
    group, point = _SEPARATORS.get(language, _SEPARATORS["en"])
    exponent = currency_exponent(money.currency)
    whole, part = divmod(abs(money.amount_minor), 10**exponent)
    number = f"{whole:,}".replace(",", group) + (f"{point}{part:0{exponent}d}" if exponent else "")
    minus = "\u2212" if money.amount_minor < 0 else ""
    sign = _SIGNS.get(money.currency)
    if sign is not None and language not in ("de", "fr"):
        return f"{minus}{sign}{number}"
    return f"{minus}{number}{NO_BREAK}{sign or money.currency}"


def date_text(at: datetime, language: str, timezone: str) -> str:
    """Return the date where the reader is: November 30, 2026 · 30. November 2026 · 30 novembre 2026."""
    local = at.astimezone(zone_of(timezone))
    month = _MONTHS.get(language, _MONTHS["en"])[local.month - 1]
    if language == "de":
        return f"{local.day}. {month} {local.year}"
    if language == "fr":
        return f"{'1er' if local.day == 1 else local.day} {month} {local.year}"
    return f"{month} {local.day}, {local.year}"


def instant_text(at: datetime, language: str, timezone: str) -> str:
    """Return date and time with the name of their timezone."""
    zone = zone_of(timezone)
    local = at.astimezone(zone)
    time = f"{local:%H:%M}" if language in ("de", "fr") else f"{local.hour % 12 or 12}:{local:%M %p}"
    return f"{date_text(at, language, timezone)}, {time} ({zone.key.replace('_', ' ')})"


def zone_of(timezone: str) -> ZoneInfo:
    """Return the zone, or UTC for an unknown name: no mail is lost because of it."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
