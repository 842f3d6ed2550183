"""What the operations API takes. A ``version`` is the one its sender saw: of any other, the answer is 409."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from holdfast.flows.money.refold_payments import PAGE_MAX_ROWS as REFOLD_MAX_ROWS
from holdfast.web.models import NOTES_MAX_CHARACTERS, Body, Line

Version = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Note = Annotated[str, StringConstraints(min_length=1, max_length=NOTES_MAX_CHARACTERS, pattern=r"^[^\x00]*$")]


class AssignFailureBody(Body):
    """Who looks after it from now on: the caller, unless somebody is named."""

    assigned_to: Line | None = None
    version: Version


class ResolveFailureBody(Body):
    """What was done about it."""

    note: Note
    version: Version


class ReopenFailureBody(Body):
    """Why it is not over."""

    note: Note
    version: Version


class RefoldBody(Body):
    """Which payments: one, or those begun since an instant; ``after`` is the cursor, a page's ``next_after``."""

    payment_id: UUID | None = None
    since: AwareDatetime | None = None
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=REFOLD_MAX_ROWS, strict=True)] = REFOLD_MAX_ROWS
