"""The base class of all request bodies, and the fields that several of them share. Nothing here knows a flow."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

QUANTITY_MAX: Final = 10_000
NOTES_MAX_CHARACTERS: Final = 2_000

# PostgreSQL text cannot hold NUL, and no name, street or SKU has control characters.
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"


def text(maximum: int, minimum: int = 1) -> Any:
    """Return the constraints of a line of ``minimum`` to ``maximum`` characters without control characters."""
    return StringConstraints(min_length=minimum, max_length=maximum, strip_whitespace=True, pattern=_PRINTABLE)


Name = Annotated[str, text(200)]
Line = Annotated[str, text(200)]
Sku = Annotated[str, text(100)]
EmailAddress = Annotated[
    str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+$")
]
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$"),
    Field(description="What the shopper is written in, as BCP 47 has it: `de`, `fr-CA`. Without it the shop's own."),
]
Notes = Annotated[str, StringConstraints(max_length=NOTES_MAX_CHARACTERS, pattern=r"^[^\x00]*$")]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Note = Annotated[str, StringConstraints(min_length=1, max_length=NOTES_MAX_CHARACTERS, pattern=r"^[^\x00]*$")]


class Body(BaseModel):
    """Base of every body."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
