"""Money: whole minor units with an ISO 4217 currency. Never a float."""

from dataclasses import dataclass
from typing import Final, Self

AMOUNT_MAX_MINOR: Final = 10**15
"""The largest amount that one order may have, in minor units. It leaves room in a bigint for any sum of orders."""

# ISO 4217, list one: the currencies whose minor unit is not a hundredth.
_EXPONENT_EXCEPTIONS: Final[dict[str, int]] = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def currency_exponent(currency: str) -> int:
    """Return how many decimals the currency's minor unit stands for (ISO 4217): 2 for USD, 0 for JPY, 3 for KWD."""
    return _EXPONENT_EXCEPTIONS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of one currency. Adding two currencies is a bug and raises ``ValueError``."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if len(self.currency) != 3 or not self.currency.isascii() or not self.currency.isupper():
            raise ValueError(f"not an ISO 4217 code: {self.currency!r}")

    def __add__(self, other: Self) -> "Money":
        return Money(self.amount_minor + self._same_currency(other), self.currency)

    def __sub__(self, other: Self) -> "Money":
        return Money(self.amount_minor - self._same_currency(other), self.currency)

    def __mul__(self, quantity: int) -> "Money":
        return Money(self.amount_minor * quantity, self.currency)

    def _same_currency(self, other: Self) -> int:
        if other.currency != self.currency:
            raise ValueError(f"{other.currency} and {self.currency} do not add up")
        return other.amount_minor

    def __str__(self) -> str:
        exponent = currency_exponent(self.currency)
        whole, part = divmod(abs(self.amount_minor), 10**exponent)
        sign = "-" if self.amount_minor < 0 else ""
        decimals = f".{part:0{exponent}d}" if exponent else ""
        return f"{sign}{whole}{decimals} {self.currency}"
