"""The request bodies of the archive's operations API."""

from typing import Annotated, Final

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import Field

from holdfast.archive.policy import BatchStatus, Strategy
from holdfast.web.fields import Body, Note

__all__ = ["BatchStatus", "EraseBody", "HoldBody", "Month", "ReconcileBody", "RestoreBody", "RestoreMonthBody"]

STAYS_MAX_DAYS: Final = 366

Month = Annotated[str, Path(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="For example `2021-03`.")]


class ReconcileBody(Body):
    """How the batch is verified; without a strategy by its own."""

    strategy: Strategy | None = None


class RestoreBody(Body):
    """Why the order is needed among the active ones."""

    reason: Note


class RestoreMonthBody(Body):
    """Why the month is needed, and for how long it stays before it may go to cold storage again."""

    reason: Note
    stays_days: int = Field(default=30, ge=1, le=STAYS_MAX_DAYS)


class HoldBody(Body):
    """Why the order has to be kept, or why no longer: the case, not the people in it."""

    reason: Note


class EraseBody(Body):
    """Why: who asked for it, and when. It stays on record, so it names nobody."""

    reason: Note
