"""The operations API's request bodies about money."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from holdfast.flows.money.refold_payments import PAGE_MAX_ROWS as REFOLD_MAX_ROWS
from holdfast.web.fields import Body, Note


class RefoldBody(Body):
    """Which payments: one, or those begun since an instant; ``after`` is the cursor, a page's ``next_after``."""

    payment_id: UUID | None = None
    since: AwareDatetime | None = None
    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=REFOLD_MAX_ROWS, strict=True)] = REFOLD_MAX_ROWS


class GiveUpPaymentBody(Body):
    """What was looked at: where, and that nothing of the attempt is there."""

    note: Note
