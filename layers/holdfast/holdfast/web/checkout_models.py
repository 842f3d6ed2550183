"""The API's request bodies, as Pydantic models: unknown fields are refused, and every size is bounded."""

from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, StrictBool, StringConstraints, model_validator

from holdfast.flows.checkout.planning import ORDER_LINES_MAX, CheckoutRequest, RequestedItem
from holdfast.values.address import Address
from holdfast.values.shipping import ShippingPreference
from holdfast.web.fields import QUANTITY_MAX, Body, EmailAddress, Language, Line, Name, Notes, Sku, text

TOKEN_MAX_CHARACTERS: Final = 8_000
DETAILS_MAX: Final = 16
DETAIL_MAX_CHARACTERS: Final = 16_000

Token = Annotated[str, StringConstraints(min_length=1, max_length=TOKEN_MAX_CHARACTERS, pattern=r"^[\x20-\x7e]+$")]
"""A gateway's token for a shopper's payment method: one word for Stripe, PayPal and Square (Square's may be followed by
a space and a verification token), or the JSON that Adyen's library makes, which contains the encrypted card."""


class AddressBody(Body):
    """A postal address; the country as ISO 3166-1 alpha-2, the region (state or province) by its code or name. It must
    be known where the shop's tax depends on it."""

    name: Name
    line1: Line
    line2: Line | None = None
    city: Annotated[str, text(100)]
    region: Annotated[str, text(100)] | None = None
    postal_code: Annotated[str, text(20)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    phone: Annotated[str, text(32)] | None = None

    def to_address(self) -> Address:
        """Return this body as the domain's value."""
        return Address(**self.model_dump())


class ItemBody(Body):
    """One item, by SKU or by variant id. A price is checked against the catalog, never trusted."""

    sku: Sku | None = None
    variant_id: UUID | None = None
    quantity: Annotated[int, Field(ge=1, le=QUANTITY_MAX, strict=True)]
    unit_price_minor: Annotated[int, Field(ge=0, strict=True)] | None = None

    @model_validator(mode="after")
    def _exactly_one_name(self) -> Self:
        if (self.sku is None) == (self.variant_id is None):
            raise ValueError("give either sku or variant_id")
        return self


DetailName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_.]{0,63}$")]
DetailValue = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=DETAIL_MAX_CHARACTERS, pattern=r"^[\x20-\x7e]+$")
]


class PaymentBody(Body):
    """How to pay: a gateway and its token for the shopper's method, kept for later if the shopper agreed (``save``); or
    a method that was kept before. Card numbers are refused."""

    gateway: Literal["stripe", "paypal", "square", "adyen"] | None = None
    token: Token | None = None
    save: StrictBool = False
    payment_method_id: UUID | None = None

    @model_validator(mode="after")
    def _exactly_one_means(self) -> Self:
        if self.payment_method_id is not None:
            if self.gateway is not None or self.token is not None or self.save:
                raise ValueError("a payment_method_id stands alone")
        elif self.gateway is None or self.token is None:
            raise ValueError("give either gateway and token, or payment_method_id")
        return self


class QuoteBody(Body):
    """What a checkout would cost and where it would ship from."""

    items: Annotated[list[ItemBody], Field(min_length=1, max_length=ORDER_LINES_MAX)]
    shipping_address: AddressBody
    shipping_preference: ShippingPreference = ShippingPreference.STANDARD
    allow_capacity_overflow: StrictBool = True

    def to_request(self) -> CheckoutRequest:
        """Return this body as the flow's value."""
        return CheckoutRequest(
            items=tuple(
                RequestedItem(item.quantity, item.sku, item.variant_id, item.unit_price_minor) for item in self.items
            ),
            shipping_address=self.shipping_address.to_address(),
            preference=self.shipping_preference,
            allow_capacity_overflow=self.allow_capacity_overflow,
        )


class CheckoutBody(QuoteBody):
    """A checkout. The billing address defaults to the shipping address. `email` is where this order is written to; it
    defaults to the token's. `source` is where the order is placed, for the shop's own figures."""

    billing_address: AddressBody | None = None
    email: EmailAddress | None = None
    payment: PaymentBody
    notes: Notes | None = None
    language: Language | None = None
    source: Literal["web", "mobile", "api"] = "api"


class PayAgainBody(Body):
    """Another method for an order whose payment failed."""

    payment: PaymentBody


class CompletePaymentBody(Body):
    """What the shopper's client brought back from an action: Adyen's `redirectResult` for one; empty where the gateway
    is asked (Stripe, PayPal)."""

    details: Annotated[dict[DetailName, DetailValue], Field(max_length=DETAILS_MAX)] = {}  # noqa: RUF012 -- Pydantic copies it


class CancelBody(Body):
    """Why an order is cancelled."""

    reason: Annotated[str, text(500)] | None = None


class ShippingAddressBody(Body):
    """Where an order shall go. ``version`` is the order's as the caller saw it: a change in between is refused."""

    shipping_address: AddressBody
    version: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None


class CaptureBody(Body):
    """How much of the held money to take; all of it if nothing is said."""

    amount_minor: Annotated[int, Field(ge=1, strict=True)] | None = None
    is_final: Annotated[bool, Field(strict=True)] = True
    """Whether the rest is released. It always is at gateways that capture only once (Stripe, Square)."""
