"""Normal forms of addresses for lookups: country and postal code, and a key of the whole address."""

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Final

from holdfast.values.address import Address

POSTAL_CODE_MAX_CHARACTERS: Final = 16
_US_ZIP_DIGITS: Final = 5
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class AddressKey:
    """What an address is looked up by: country and postal code in the reference data, all three in the cache."""

    country: str
    postal_code: str
    digest: str
    """SHA-256 of everything that says where the address is, but not who lives there."""


def normalized_postal_code(country: str, postal_code: str) -> str:
    """Reduce a code to capitals and digits, so that ``k1a 0b1``, ``K1A-0B1`` and ``K1A0B1`` are one.

    A ZIP+4 is reduced to its ZIP. Return "" where nothing is left of the code, or too much: such a code is not looked
    up.
    """
    if len(postal_code) == _US_ZIP_DIGITS and postal_code.isascii() and postal_code.isdigit():
        return postal_code  # as most of them are written
    folded = unicodedata.normalize("NFKC", postal_code).upper()
    kept = "".join(letter for letter in folded if letter.isascii() and letter.isalnum())
    if country == "US" and len(kept) == _US_ZIP_DIGITS + 4 and kept.isdigit():
        kept = kept[:_US_ZIP_DIGITS]
    return kept if len(kept) <= POSTAL_CODE_MAX_CHARACTERS else ""


def address_key(address: Address) -> AddressKey:
    """Return the key of an address. Spaces and capitals make no difference."""
    postal_code = normalized_postal_code(address.country, address.postal_code)
    parts = (address.country, postal_code, address.region, address.city, address.line1, address.line2)
    words = (" ".join(unicodedata.normalize("NFKC", part or "").casefold().split()) for part in parts)
    return AddressKey(address.country, postal_code, _digest(_SEPARATOR.join(words)))


def _digest(text: str) -> str:
    # JSON can carry half of a surrogate pair, which strict encoding would refuse.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
