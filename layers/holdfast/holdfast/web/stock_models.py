"""What the operations API takes about warehouses and what lies in them."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from holdfast.flows.change_stock import LINES_MAX, StockLine
from holdfast.inventory.stock import ChangeType
from holdfast.inventory.warehouses import WarehouseFacts, WarehouseStatus
from holdfast.values.coordinates import Coordinates
from holdfast.web.models import Body, Line, Name, Sku
from holdfast.web.operations_models import Version

PIECES_MAX = 1_000_000
Pieces = Annotated[int, Field(ge=1, le=PIECES_MAX, strict=True)]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
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
        """The flow's values."""
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
        """The flow's values."""
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
        """The flow's value."""
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
