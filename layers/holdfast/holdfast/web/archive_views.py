"""The responses of the archive's operations API, as models; see ``holdfast.web.views``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from holdfast.archive.policy import BatchStatus, DiscrepancyKind, Location, MonthRestoreState, Strategy


class ArchiveStratum(BaseModel):
    """How many of a month's orders were looked at."""

    month: str
    orders: int
    sampled: int


class ArchiveBatch(BaseModel):
    """Orders that were archived together, their place in the chain, and what their last verification came to.
    ``statement`` says what it can promise. ``totals`` are sums by currency, in minor units."""

    id: UUID
    status: BatchStatus
    strategy: Strategy
    orders: int
    oldest_order_at: datetime | None
    newest_order_at: datetime | None
    totals: dict[str, int]
    chain_position: int | None
    root: str | None
    previous_root: str | None
    population: int
    target_sample_size: int | None
    sample_size: int | None
    high_value_verified: int
    strata: list[ArchiveStratum]
    discrepancies: int
    purged_orders: int
    created_at: datetime
    completed_at: datetime | None
    verified_at: datetime | None
    purged_at: datetime | None
    statement: str | None


class ArchiveBatchAnswer(BaseModel):
    """One batch."""

    batch: ArchiveBatch


class ArchiveBatchPage(BaseModel):
    """Batches, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    batches: list[ArchiveBatch]
    next_before: UUID | None


class ArchiveDiscrepancy(BaseModel):
    """Something that was found wrong; ``order_id`` is the batch's own id where the batch as a whole is wrong."""

    id: UUID
    batch_id: UUID | None
    order_id: UUID
    kind: DiscrepancyKind
    details: str
    found_by: str
    created_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


class ArchiveDiscrepancyPage(BaseModel):
    """Discrepancies, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    discrepancies: list[ArchiveDiscrepancy]
    next_before: UUID | None


class ArchiveProof(BaseModel):
    """How far the chain was proven, its root there, and its first break. ``finished`` is false when time ran out."""

    batches: int
    orders: int
    root: str
    finished: bool
    break_position: int | None
    break_batch_id: UUID | None
    break_reason: str | None


class ArchiveProofAnswer(BaseModel):
    """The proof."""

    proof: ArchiveProof


class RestoredOrderAnswer(BaseModel):
    """Where the order was; ``restored`` is false when somebody had brought it back before."""

    order_id: UUID
    was_in: Location
    restored: bool


class RestoredMonth(BaseModel):
    """A month that is brought back, and how far it came: ``row_groups_done`` of ``row_groups``; ``orders`` were not
    there before. It does not go to cold storage again before ``stays_until``."""

    id: UUID
    month: str
    state: MonthRestoreState
    orders: int
    row_groups: int
    row_groups_done: int
    stays_until: datetime
    reason: str
    requested_by: str
    failure: str | None
    created_at: datetime
    finished_at: datetime | None


class RestoredMonthAnswer(BaseModel):
    """The month."""

    restore: RestoredMonth


class RestoredMonthPage(BaseModel):
    """Months, the latest asked for first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    restores: list[RestoredMonth]
    next_before: UUID | None


class LegalHold(BaseModel):
    """Who wants an order kept, and why; and who let it go."""

    id: UUID
    order_id: UUID
    reason: str
    placed_by: str
    created_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


class LegalHoldAnswer(BaseModel):
    """The hold."""

    hold: LegalHold


class LegalHoldPage(BaseModel):
    """Holds, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    holds: list[LegalHold]
    next_before: UUID | None


class ExportedCustomer(BaseModel):
    """The profile of a customer."""

    id: UUID
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    timezone: str | None
    status: str
    created_at: datetime
    addresses: list[dict[str, Any]]
    payment_methods: list[dict[str, Any]]


class CustomerExport(BaseModel):
    """Everything about a customer, a page of orders at a time; an order is as ``GET /v1/orders/{reference}`` has it."""

    customer: ExportedCustomer
    orders: list[dict[str, Any]]
    next_before: UUID | None


class Erasure(BaseModel):
    """The tombstone of an erased customer."""

    id: UUID
    customer_id: UUID
    active_orders: int
    archived_orders: int
    reason: str
    requested_by: str
    created_at: datetime


class ErasureAnswer(BaseModel):
    """The tombstone."""

    erasure: Erasure


ANSWERS: tuple[type[BaseModel], ...] = (
    ArchiveBatchAnswer,
    ArchiveBatchPage,
    ArchiveDiscrepancyPage,
    ArchiveProofAnswer,
    RestoredOrderAnswer,
    RestoredMonthAnswer,
    RestoredMonthPage,
    LegalHoldAnswer,
    LegalHoldPage,
    CustomerExport,
    ErasureAnswer,
)
