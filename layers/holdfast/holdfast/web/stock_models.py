"""The operations API's request bodies for warehouses and their stock."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from holdfast.flows.stock.capacity_overrides import Override
from holdfast.flows.stock.change_stock import LINES_MAX, StockLine
from holdfast.inventory.stock import ChangeType
from holdfast.inventory.warehouses import WarehouseFacts, WarehouseStatus
from holdfast.values.coordinates import Coordinates
from holdfast.web.fields import Body, Line, Name, Sku, Version

PIECES_MAX = 1_000_000
Pieces = Annotated[int, Field(ge=1, le=PIECES_MAX, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
Timezone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+\-/]{1,64}$"),
    Field(description="A name of the IANA time zone database, such as America/New_York."),
]


class VariantBody(Body):
    """A variant, by SKU or by id."""

    sku: Sku | None = None
    variant_id: UUID | None = None

    @model_validator(mode="after")
    def _exactly_one_name(self) -> Self:
        if (self.sku is None) == (self.variant_id is None):
            raise ValueError("give either sku or variant_id")
        return self


class ReceiptLineBody(VariantBody):
    """How many pieces came in."""

    quantity: Pieces


class ReceiptBody(Body):
    """Goods that came in at one warehouse."""

    warehouse_id: UUID
    reason: Reason | None = None
    lines: Annotated[list[ReceiptLineBody], Field(min_length=1, max_length=LINES_MAX)]

    def to_lines(self) -> tuple[StockLine, ...]:
        """Return this body as the flow's values."""
        return tuple(StockLine(line.quantity, line.sku, line.variant_id) for line in self.lines)


class AdjustmentLineBody(VariantBody):
    """By how many pieces the count was wrong (signed), or how many broke (positive)."""

    quantity: Annotated[int, Field(ge=-PIECES_MAX, le=PIECES_MAX, strict=True)]


class AdjustmentBody(Body):
    """A correction of what one warehouse has on hand, or damage; never without a reason."""

    warehouse_id: UUID
    type: ChangeType = ChangeType.ADJUSTMENT
    reason: Reason
    lines: Annotated[list[AdjustmentLineBody], Field(min_length=1, max_length=LINES_MAX)]

    @model_validator(mode="after")
    def _signs_make_sense(self) -> Self:
        if self.type is ChangeType.RECEIVE:
            raise ValueError("goods that came in are a receipt")
        if any(line.quantity == 0 or (line.quantity < 0 and self.type is ChangeType.DAMAGE) for line in self.lines):
            raise ValueError("no quantity is 0, and damage counts what broke")
        return self

    def to_lines(self) -> tuple[StockLine, ...]:
        """Return this body as the flow's values."""
        return tuple(StockLine(line.quantity, line.sku, line.variant_id) for line in self.lines)


class SafetyStockBody(Body):
    """Below how many available pieces a level counts as low."""

    warehouse_id: UUID
    variant_id: UUID
    safety_stock: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)]


class WarehouseBody(Body):
    """What people decide about a warehouse. Without ``base_daily_capacity`` it takes any number of orders."""

    name: Name
    address: Annotated[dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,30}$")], Line], Field(max_length=12)]
    latitude: Annotated[float, Field(ge=-90, le=90, strict=True)]
    longitude: Annotated[float, Field(ge=-180, le=180, strict=True)]
    status: WarehouseStatus = WarehouseStatus.ACTIVE
    priority: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 100
    base_daily_capacity: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)] | None = None
    shipping_cost_base_minor: Annotated[int, Field(ge=0, le=10**12, strict=True)]
    timezone: Timezone

    def to_facts(self) -> WarehouseFacts:
        """Return this body as the flow's value."""
        return WarehouseFacts(
            name=self.name,
            address=dict(self.address),
            coordinates=Coordinates(self.latitude, self.longitude),
            status=self.status,
            priority=self.priority,
            base_daily_capacity=self.base_daily_capacity,
            shipping_cost_base_minor=self.shipping_cost_base_minor,
            timezone=self.timezone,
        )


class NewWarehouseBody(WarehouseBody):
    """A warehouse with its code, which stays."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]


class ChangedWarehouseBody(WarehouseBody):
    """A warehouse as it shall be, and the version it was seen at: of any other, the answer is 409."""

    version: Version


class TransferBody(Body):
    """Pieces of one variant that shall move to another warehouse."""

    variant_id: UUID
    from_warehouse_id: UUID
    to_warehouse_id: UUID
    quantity: Pieces
    reason: Reason


class ArrivalBody(Body):
    """What of a transfer arrived, and what of it never will; the rest stays in transit."""

    received_quantity: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)] = 0
    written_off_quantity: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)] = 0
    reason: Reason | None = None

    @model_validator(mode="after")
    def _says_what_and_why(self) -> Self:
        if not self.received_quantity and not self.written_off_quantity:
            raise ValueError("something arrived or is written off")
        if self.written_off_quantity and self.reason is None:
            raise ValueError("what is written off has a reason")
        return self


class ReasonBody(Body):
    """Why."""

    reason: Reason


class OverrideBody(Body):
    """From the first through the last day: at most so many orders a day, or a factor on the usual number."""

    starts_on: Day
    ends_on: Day
    capacity_multiplier: Annotated[Decimal, Field(gt=0, max_digits=6, decimal_places=3)] | None = None
    hard_capacity_limit: Pieces | None = None
    reason: Reason

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.ends_on < self.starts_on:
            raise ValueError("ends_on is before starts_on")
        if (self.capacity_multiplier is None) == (self.hard_capacity_limit is None):
            raise ValueError("give either capacity_multiplier or hard_capacity_limit")
        return self

    def to_override(self) -> Override:
        """Return this body as the flow's value."""
        return Override(self.starts_on, self.ends_on, self.capacity_multiplier, self.hard_capacity_limit, self.reason)


class NewOverrideBody(OverrideBody):
    """An override of one warehouse."""

    warehouse_id: UUID


class ChangedOverrideBody(OverrideBody):
    """An override as it shall be, and the version it was seen at: of any other, the answer is 409."""

    version: Version


class VersionBody(Body):
    """The version it was seen at: of any other, the answer is 409."""

    version: Version
