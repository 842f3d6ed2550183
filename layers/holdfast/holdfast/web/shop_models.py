"""The contents of a shop's file (see docs/deploy.md): unknown names are refused, and every size is bounded."""

from collections import Counter
from collections.abc import Mapping
from decimal import InvalidOperation
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, field_validator, model_validator

from holdfast.addresses.business_calendar import calendar_of
from holdfast.archive.policy import Strategy, policy_from
from holdfast.checkout.shipping_rates import DEFAULT_SHIPPING_CURRENCY, ShippingRates
from holdfast.checkout.tax import TaxTable
from holdfast.flows.shops.open_shop import ShopFile
from holdfast.inventory.allocation import ORDER_WAREHOUSES_MAX
from holdfast.payments.capture_policy import CapturePolicy
from holdfast.tenancy.roles import Role
from holdfast.values.errors import InvalidInput
from holdfast.values.money import Money
from holdfast.web.fields import Body, EmailAddress, Language, Line, Name, Sku, text
from holdfast.web.stock_models import PIECES_MAX, NewWarehouseBody, Timezone

ROWS_MAX: Final = 5_000
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,98}[a-z0-9]$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Seconds = Annotated[int, Field(ge=1, le=30 * 24 * 3600, strict=True)]
Days = Annotated[int, Field(ge=0, le=36_500, strict=True)]
Objects = Annotated[list[dict[str, Any]], Field(max_length=1_000)]
Url = Annotated[str, StringConstraints(pattern=r"^(https://|http://(localhost|127\.0\.0\.1))[!-~]{1,900}$")]


class ShopBody(Body):
    """The organization: its name and what its settings say. What is left out keeps its default, or what it was."""

    name: Name
    slug: Slug
    publishable_key: Annotated[str, StringConstraints(pattern=r"^pk_[A-Za-z0-9_]{16,64}$")] | None = None
    currency: Currency
    timezone: Timezone
    language: Language | None = None
    mail_from_name: Name | None = None
    mail_reply_to: EmailAddress | None = None
    storefront_return_url: Url | None = None
    address_review_page_url: Url | None = None
    address_review: bool | None = None
    capture_policy: CapturePolicy | None = None
    hold_seconds: Seconds | None = None
    payment_hold_seconds: Seconds | None = None
    hold_max_seconds: Seconds | None = None
    split_warehouses_max: Annotated[int, Field(ge=1, le=ORDER_WAREHOUSES_MAX, strict=True)] | None = None
    tax_rates: Objects | None = None
    shipping_rates: Objects | None = None
    business_calendars: dict[str, dict[str, Any]] | None = None
    tracking_links: dict[Annotated[str, text(50)], Url] | None = None
    archive_after_months: Annotated[int, Field(ge=0, le=1_200, strict=True)] | None = None
    archive_settled_days: Days | None = None
    archive_grace_days: Days | None = None
    archive_cold_after_months: Annotated[int, Field(ge=0, le=1_200, strict=True)] | None = None
    archive_high_value_minor: Annotated[int, Field(ge=0, le=10**12, strict=True)] | None = None
    archive_strategy: Strategy | None = None

    @field_validator("address_review_page_url")
    @classmethod
    def _has_a_place_for_the_token(cls, url: str | None) -> str | None:
        if url is not None and "{token}" not in url:
            raise ValueError("has no {token} in it")
        return url

    @model_validator(mode="after")
    def _rules_can_read_it(self) -> Self:
        """Refuse settings on which a checkout would fail, by applying the checkout's own rules."""
        said = self.settings()
        try:
            taxes = TaxTable.from_settings(said)
            rates = ShippingRates.from_settings(said)
            for rate in rates.rates:
                rates.shipping(rate.preference, rate.country or "US", Money(0, rates.currency))
            policy_from(said)
            for key in self.business_calendars or {}:
                country, _, region = key.replace("*", "US").partition("-")
                calendar_of(country, region or None, self.business_calendars)
        except (KeyError, TypeError, ValueError, InvalidOperation) as problem:
            raise ValueError(f"a rate, calendar or archive setting makes no sense: {problem!r}") from problem
        if unknown := taxes.unknown_regions():
            raise ValueError(f"tax_rates name unknown regions: {', '.join(unknown)}")
        if self.currency != DEFAULT_SHIPPING_CURRENCY and self.shipping_rates is None:
            raise ValueError(f"shipping_rates are needed: the default ones are in {DEFAULT_SHIPPING_CURRENCY}")
        return self

    def settings(self) -> dict[str, Any]:
        """Return the value for ``organizations.settings``."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"name", "slug", "publishable_key"})


class StaffBody(Body):
    """A person of the shop. ``subject`` is the ``sub`` of their tokens."""

    subject: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
    email: EmailAddress
    name: Name
    role: Role
    status: Literal["active", "removed"] = "active"


class GatewayBody(Body):
    """An account at a payment gateway. ``endpoint_key`` is the last part of its webhook's address."""

    gateway: Literal["stripe", "paypal", "square", "adyen"]
    endpoint_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{6,64}$")]
    secret_reference: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]{1,200}$")]
    merchant_account: Line | None = None
    webhook_id: Line | None = None
    notification_url: Url | None = None
    mode: Literal["test", "live"] = "test"
    status: Literal["active", "disabled"] = "active"


class VariantBody(Body):
    """What is sold: a SKU and its price in minor units of its currency (the shop's unless it says another)."""

    sku: Sku
    price_minor: Annotated[int, Field(ge=0, le=10**12, strict=True)]
    currency: Currency | None = None
    option_values: Annotated[dict[Annotated[str, text(50)], Line], Field(max_length=20)] = Field(default_factory=dict)
    weight_grams: Annotated[int, Field(ge=0, le=10**8, strict=True)] | None = None
    barcode: Line | None = None
    tax_code: Line | None = None
    status: Literal["active", "archived"] = "active"


class ProductBody(Body):
    """A product with at least one variant."""

    name: Name
    slug: Slug
    category: Line | None = None
    brand: Line | None = None
    short_description: Annotated[str, text(500)] | None = None
    description: Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")] | None = None
    requires_shipping: bool = True
    image_url: Url | None = None
    status: Literal["draft", "active", "archived"] = "active"
    variants: Annotated[list[VariantBody], Field(min_length=1, max_length=200)]


class StockBody(Body):
    """What lies in a warehouse when the shop opens. It counts once: later goods are receipts."""

    warehouse: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
    sku: Sku
    quantity: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)]
    safety_stock: Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)] = 0


class ShopFileBody(Body):
    """The whole file."""

    shop: ShopBody
    staff: Annotated[list[StaffBody], Field(max_length=ROWS_MAX)] = Field(default_factory=list)
    gateways: Annotated[list[GatewayBody], Field(max_length=100)] = Field(default_factory=list)
    warehouses: Annotated[list[NewWarehouseBody], Field(max_length=500)] = Field(default_factory=list)
    products: Annotated[list[ProductBody], Field(max_length=ROWS_MAX)] = Field(default_factory=list)
    stock: Annotated[list[StockBody], Field(max_length=4 * ROWS_MAX)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_everything_once(self) -> Self:
        variants = [variant for product in self.products for variant in product.variants]
        named: Mapping[str, list[Any]] = {
            "staff subject": [person.subject for person in self.staff],
            "owner": [person.role for person in self.staff if (person.role, person.status) == (Role.OWNER, "active")],
            "endpoint_key": [account.endpoint_key for account in self.gateways],
            "warehouse code": [warehouse.code for warehouse in self.warehouses],
            "product slug": [product.slug for product in self.products],
            "SKU": [variant.sku for variant in variants],
            "stock line": [(line.warehouse, line.sku) for line in self.stock],
        }
        for what, names in named.items():
            twice = sorted(str(name) for name, times in Counter(names).items() if times > 1)
            if twice:
                raise ValueError(f"{what} named twice: {', '.join(twice)}")
        return self

    def to_file(self) -> ShopFile:
        """Return this body as the flow's value."""
        return ShopFile(
            name=self.shop.name,
            slug=self.shop.slug,
            settings=self.shop.settings(),
            publishable_key=self.shop.publishable_key,
            staff=_rows(self.staff),
            gateways=_rows(self.gateways),
            warehouses=_rows(self.warehouses),
            products=[product.model_dump(mode="json", exclude={"variants"}) for product in self.products],
            variants=[
                variant.model_dump(mode="json")
                | {
                    "product_slug": product.slug,
                    "currency": variant.currency or self.shop.currency,
                    "position": position,
                }
                for product in self.products
                for position, variant in enumerate(product.variants, start=1)
            ],
            stock=[{"place": place, **row} for place, row in enumerate(_rows(self.stock))],
        )


def _rows(bodies: list[Any]) -> list[dict[str, Any]]:
    return [body.model_dump(mode="json") for body in bodies]


def shop_file_from(document: Any) -> ShopFile:
    """Return a shop's file, read and checked. Raises InvalidInput, which names every field that is wrong."""
    try:
        return ShopFileBody.model_validate(document).to_file()
    except ValidationError as refused:
        errors = [
            {"field": ".".join(str(part) for part in error["loc"]), "message": error["msg"]}
            for error in refused.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise InvalidInput("the shop's file makes no sense", errors=errors) from refused
