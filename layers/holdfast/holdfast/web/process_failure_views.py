"""The operations API's responses about process failures, as models; see ``holdfast.web.views``."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from holdfast.flows.operations.process_failures import FailureAction
from holdfast.flows.operations.process_names import Process


class ProcessFailure(BaseModel):
    """Something that waits for a person, or did. ``related_id`` is the order, payment or event it is about."""

    id: UUID
    process_name: str
    related_id: UUID | None
    details: str
    payload: dict[str, Any]
    status: Literal["open", "resolved"]
    assigned_to: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    resolution_notes: str | None
    reopening_notes: str | None
    created_at: datetime
    updated_at: datetime | None
    version: int


class ProcessFailureStep(BaseModel):
    """One step on the record of a failure: what, by whom, and who had it then."""

    sequence: int
    action: FailureAction
    assigned_to: str | None
    changed_by: str
    notes: str | None
    at: datetime


class ProcessFailureWithHistory(ProcessFailure):
    """A failure and every step so far, oldest first."""

    history: list[ProcessFailureStep]


class ProcessFailureAnswer(BaseModel):
    """One process failure."""

    process_failure: ProcessFailureWithHistory


class ProcessFailureCount(BaseModel):
    """A process that may call a person. ``resolved`` counts those opened in the last 7 days; ``runbook`` is a path in
    the repository."""

    process_name: Process
    meaning: str
    runbook: str
    open: int
    unassigned: int
    resolved: int
    oldest_open_at: datetime | None


class ProcessFailureCounts(BaseModel):
    """All processes, whether anything waits or not."""

    processes: list[ProcessFailureCount]


class ProcessFailurePage(BaseModel):
    """Process failures, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    process_failures: list[ProcessFailure]
    next_before: UUID | None


ANSWERS: tuple[type[BaseModel], ...] = (
    ProcessFailureAnswer,
    ProcessFailureCounts,
    ProcessFailurePage,
)
"""The models that routes refer to by name."""
