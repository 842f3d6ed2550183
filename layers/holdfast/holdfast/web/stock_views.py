"""The operations API's responses about warehouses and stock, as models; see ``holdfast.web.views``."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from holdfast.inventory.capacity import AlertType
from holdfast.inventory.stock import ChangeType
from holdfast.inventory.stock_file import ImportMode
from holdfast.inventory.transfers import TransferStatus
from holdfast.inventory.warehouses import WarehouseStatus


class Warehouse(BaseModel):
    """A warehouse. ``base_daily_capacity`` null: it takes any number of orders."""

    id: UUID
    code: str
    name: str
    address: dict[str, str]
    latitude: float
    longitude: float
    status: WarehouseStatus
    priority: int
    base_daily_capacity: int | None
    shipping_cost_base_minor: int
    timezone: str
    version: int
    created_at: datetime
    updated_at: datetime | None


class WarehouseAnswer(BaseModel):
    """One warehouse."""

    warehouse: Warehouse


class WarehouseList(BaseModel):
    """All warehouses of the shop."""

    warehouses: list[Warehouse]


class StockLevel(BaseModel):
    """What lies in one warehouse of one variant. ``on_hand`` is the book, which falls when an order is paid; who counts
    finds ``on_hand`` and ``sold_unshipped``, which is sold and has not left. ``version`` is the number of its last
    movement."""

    warehouse_id: UUID
    warehouse: str
    variant_id: UUID
    sku: str
    on_hand: int
    reserved: int
    available: int
    sold_unshipped: int
    incoming: int
    safety_stock: int
    last_restock_at: datetime | None
    version: int


class StockLevelAnswer(BaseModel):
    """One level."""

    level: StockLevel


class StockLevelPage(BaseModel):
    """Levels by variant. ``next_after`` is the next page's ``after``; ``null`` on the last page."""

    levels: list[StockLevel]
    next_after: UUID | None


class StockChange(BaseModel):
    """A receipt, an adjustment or damage, with the levels that it left."""

    id: UUID
    type: ChangeType
    warehouse_id: UUID
    warehouse: str
    reason: str | None
    levels: list[StockLevel]


class StockChangeAnswer(BaseModel):
    """One change of stock."""

    change: StockChange


class LedgerCompensation(BaseModel):
    """How many movements brought a level's ledger to what its row says, and the level."""

    id: UUID
    movements: int
    level: StockLevel


class LedgerCompensationAnswer(BaseModel):
    """One compensation."""

    compensation: LedgerCompensation


class WarehouseAvailability(BaseModel):
    """What one warehouse has of a variant."""

    warehouse_id: UUID
    warehouse: str
    status: WarehouseStatus
    on_hand: int
    reserved: int
    available: int
    incoming: int


class VariantAvailability(BaseModel):
    """What the shop has of a variant. ``sellable`` is what is available in active warehouses."""

    variant_id: UUID
    sku: str
    on_hand: int
    reserved: int
    incoming: int
    sellable: int
    warehouses: list[WarehouseAvailability]


class Availability(BaseModel):
    """What can be sold at this moment."""

    variants: list[VariantAvailability]


class StockMovement(BaseModel):
    """One line of a level's ledger. ``number`` counts from 1 without a gap."""

    number: int
    type: Literal[
        "receive", "adjustment", "sale", "return", "transfer_in", "transfer_out", "damage", "reserve", "release"
    ]
    quantity: int
    on_hand_before: int
    on_hand_after: int
    reserved_before: int
    reserved_after: int
    reference_type: str
    reference_id: UUID | None
    reason: str | None
    performed_by: str
    created_at: datetime


class StockMovementPage(BaseModel):
    """The ledger, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    movements: list[StockMovement]
    next_before: int | None


class Transfer(BaseModel):
    """Goods between two warehouses. What is neither received, written off nor returned is in transit."""

    id: UUID
    variant_id: UUID
    sku: str
    from_warehouse_id: UUID
    to_warehouse_id: UUID
    quantity: int
    received_quantity: int
    written_off_quantity: int
    returned_quantity: int
    status: TransferStatus
    reason: str
    write_off_reason: str | None
    cancel_reason: str | None
    requested_by: str
    version: int
    created_at: datetime
    shipped_at: datetime | None
    received_at: datetime | None
    cancelled_at: datetime | None


class TransferAnswer(BaseModel):
    """One transfer."""

    transfer: Transfer


class TransferPage(BaseModel):
    """Transfers, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    transfers: list[Transfer]
    next_before: UUID | None


class CapacityOverride(BaseModel):
    """What a warehouse takes from the first through the last day. The multiplier is a decimal text."""

    id: UUID
    warehouse_id: UUID
    starts_on: date
    ends_on: date
    capacity_multiplier: str | None
    hard_capacity_limit: int | None
    reason: str
    created_by: str
    version: int
    created_at: datetime
    updated_at: datetime | None


class CapacityOverrideAnswer(BaseModel):
    """One override."""

    override: CapacityOverride


class CapacityOverrideList(BaseModel):
    """The overrides of one warehouse, by their end."""

    overrides: list[CapacityOverride]


class CapacityDay(BaseModel):
    """One warehouse on one day of its own calendar. ``utilization`` 1.0 is full; ``null`` capacity: no limit."""

    warehouse_id: UUID
    warehouse: str
    load_date: date
    orders: int
    effective_capacity: int | None
    utilization: float | None


class CapacityLoad(BaseModel):
    """How full the warehouses are."""

    days: list[CapacityDay]


class CapacityAlert(BaseModel):
    """A warehouse reached 80, 95 or 100 % of a day's capacity; ``resolved_at`` is when it fell below again."""

    id: UUID
    warehouse_id: UUID
    warehouse: str
    type: AlertType
    load_date: date
    orders: int
    effective_capacity: int
    utilization: float
    raised_at: datetime
    notified_at: datetime
    resolved_at: datetime | None


class CapacityAlertList(BaseModel):
    """Alerts, newest first."""

    alerts: list[CapacityAlert]


class StockRowError(BaseModel):
    """What is wrong with one row of a file; the header is row 1."""

    row: int
    column: str
    message: str


class StockDifference(BaseModel):
    """A row of a count that found something else than there should be: ``counted`` is ``on_hand`` + ``sold_unshipped``
    + ``change``, by which the book would change."""

    row: int
    warehouse: str
    sku: str
    counted: int
    on_hand: int
    sold_unshipped: int
    change: int


class StockImport(BaseModel):
    """A file of stock. ``checked`` is a dry run: it has no id, for nothing was written; ``differences`` are the first
    100 of a count that is only looked at, and ``changed_levels`` how many there are."""

    id: UUID | None
    digest: str
    mode: ImportMode
    status: Literal["checked", "running", "applied", "refused"]
    rows: int
    applied_rows: int
    changed_levels: int
    bad_rows: int
    errors: list[StockRowError]
    differences: list[StockDifference]
    reason: str
    imported_by: str
    created_at: datetime | None
    finished_at: datetime | None


class StockImportAnswer(BaseModel):
    """One import."""

    import_: StockImport = Field(alias="import")


class StockImportPage(BaseModel):
    """Imports, newest first. ``next_before`` is the next page's ``before``; ``null`` on the last page."""

    imports: list[StockImport]
    next_before: UUID | None


ANSWERS: tuple[type[BaseModel], ...] = (
    Availability,
    CapacityAlertList,
    CapacityLoad,
    CapacityOverrideAnswer,
    CapacityOverrideList,
    LedgerCompensationAnswer,
    StockChangeAnswer,
    StockImportAnswer,
    StockImportPage,
    StockLevelAnswer,
    StockLevelPage,
    StockMovementPage,
    TransferAnswer,
    TransferPage,
    WarehouseAnswer,
    WarehouseList,
)
"""The models that routes refer to by name."""
