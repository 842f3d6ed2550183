"""The operations API's request bodies for shipments. ``version`` is the one last seen; any other is answered 409."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from holdfast.flows.checkout.planning import ORDER_LINES_MAX
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.web.fields import QUANTITY_MAX, Body, Version
from holdfast.web.stock_models import Reason

Carrier = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9 .&_\-]{0,49}$")]
TrackingNumber = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_\-]{0,98}[A-Za-z0-9]$")
]


class ShipmentStepBody(Body):
    """The shipment as its sender saw it."""

    version: Version


class LeavingItemBody(Body):
    """So many of a line leave."""

    order_item_id: UUID
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX, strict=True)]


class ShipBody(Body):
    """With whom it leaves. ``items``: not all of it leaves; the rest waits in another shipment of the warehouse."""

    version: Version
    carrier: Carrier
    tracking_number: TrackingNumber | None = None
    estimated_delivery_at: AwareDatetime | None = None
    items: Annotated[list[LeavingItemBody], Field(min_length=1, max_length=ORDER_LINES_MAX)] | None = None

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        ids = [item.order_item_id for item in self.items or ()]
        if len(set(ids)) != len(ids):
            raise ValueError("an item is named twice")
        return self

    def to_items(self) -> dict[UUID, int]:
        """Return the pieces by line; empty if the whole shipment leaves."""
        return {item.order_item_id: item.quantity for item in self.items or ()}


class DeliveryBody(Body):
    """When it arrived by the carrier's clock; now, if nothing is said."""

    version: Version
    delivered_at: AwareDatetime | None = None


class FailureBody(Body):
    """Why it will not arrive."""

    version: Version
    reason: FailureReason
    notes: Reason | None = None


class CallOffBody(Body):
    """Why it does not leave like this."""

    version: Version
    reason: Reason


class ReshipBody(Body):
    """From which warehouse; without one, from where it came if that has the goods, else from one that has."""

    version: Version
    warehouse_id: UUID | None = None
