"""The API's request bodies for refunds (see ``web.checkout_models``)."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from holdfast.flows.checkout.planning import ORDER_LINES_MAX
from holdfast.payments.model import RefundReason, RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.web.fields import QUANTITY_MAX, Body, Notes

AskedReason = Literal[
    RefundReason.CUSTOMER_REQUEST,
    RefundReason.FRAUD,
    RefundReason.DUPLICATE,
    RefundReason.PRODUCT_ISSUE,
    RefundReason.DAMAGED,
    RefundReason.LATE_PAYMENT,
    RefundReason.OTHER,
]
"""The reasons that staff may give for a refund: all but a price difference, which only a change of price causes."""

AmountMinor = Annotated[int, Field(ge=1, le=2**53, strict=True)]


class RefundItemBody(Body):
    """Units of a line, and what became of them: only ``resellable`` goes back to stock. ``amount_minor``: less than
    they are worth, where the shop keeps a fee."""

    order_item_id: UUID
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX, strict=True)]
    restock_reason: RestockReason
    amount_minor: Annotated[int, Field(ge=0, le=2**53, strict=True)] | None = None
    has_left: Annotated[
        bool,
        Field(
            strict=True,
            description="These units had left their warehouse: what has not left yet still leaves. Without it those "
            "that have not left are taken first, and stay. What the customer keeps had left.",
        ),
    ] = False


class RefundBody(Body):
    """Lines, or an amount; shipping beside either or alone. Nothing of it: all that is left."""

    reason: AskedReason
    notes: Notes | None = None
    items: Annotated[list[RefundItemBody], Field(min_length=1, max_length=ORDER_LINES_MAX)] | None = None
    amount_minor: AmountMinor | None = None
    shipping_minor: AmountMinor | None = None

    @model_validator(mode="after")
    def _lines_or_amount(self) -> Self:
        if self.items is not None and self.amount_minor is not None:
            raise ValueError("give either items or amount_minor")
        return self

    def to_wanted(self) -> Wanted:
        """Return this body as the domain's value."""
        return Wanted(
            items=tuple(
                WantedItem(item.order_item_id, item.quantity, item.restock_reason, item.amount_minor, item.has_left)
                for item in self.items or ()
            ),
            amount_minor=self.amount_minor or 0,
            shipping_minor=self.shipping_minor or 0,
        )
