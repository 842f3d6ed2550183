"""The API's request bodies for address reviews, from shoppers (by their link) and from staff."""

from typing import Annotated, Self

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import AwareDatetime, StrictBool, StringConstraints, model_validator

from holdfast.addresses.review_link import TOKEN_MAX_CHARACTERS
from holdfast.flows.addresses.answer_review import CorrectedAddress
from holdfast.web.fields import Body, Line, Name, Note, Version, text

LinkToken = Annotated[
    str, Path(max_length=TOKEN_MAX_CHARACTERS, description="What the link in the mail carries. It is a secret.")
]


class CorrectedAddressBody(Body):
    """Where the parcel goes. Name and telephone stay as they are unless they are given. The region (state or province)
    must be known where the shop's tax depends on it."""

    name: Name | None = None
    line1: Line
    line2: Line | None = None
    city: Annotated[str, text(100)]
    region: Annotated[str, text(100)] | None = None
    postal_code: Annotated[str, text(20)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    phone: Annotated[str, text(32)] | None = None

    def to_address(self) -> CorrectedAddress:
        """Return this body as the flow's value."""
        return CorrectedAddress(**self.model_dump())


class AnswerAddressReviewBody(Body):
    """Another address, or `confirm`: it is right as it is. Both: this address is right, whoever finds it."""

    address: CorrectedAddressBody | None = None
    confirm: StrictBool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.address is None and not self.confirm:
            raise ValueError("give an address, or confirm that it is right as it is")
        return self


class ResolveAddressReviewBody(Body):
    """The address is right as it is."""

    version: Version
    notes: Note | None = None


class CorrectAddressReviewBody(Body):
    """Another address, on the shopper's behalf. `confirm`: it is right, whoever finds it."""

    version: Version
    address: CorrectedAddressBody
    confirm: StrictBool = False
    notes: Note | None = None


class ExtendAddressReviewBody(Body):
    """Until when the shopper has time instead."""

    version: Version
    deadline_at: AwareDatetime
    notes: Note | None = None


class CancelAddressReviewBody(Body):
    """Why the order is cancelled."""

    version: Version
    reason: Note
