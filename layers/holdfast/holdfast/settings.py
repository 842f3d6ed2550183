"""Everything that the environment decides: read once, frozen and typed. Only this module reads ``os.environ``."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TypeVar

from holdfast.addresses.review_link import valid_page
from holdfast.values.return_url import valid_template


class DatabaseAuthentication(StrEnum):
    """How a function authenticates to PostgreSQL: with a token from its IAM role, or with a password (local only)."""

    IAM = "iam"
    PASSWORD = "password"  # noqa: S105 -- the name of a mechanism


class GuestTokenSource(StrEnum):
    """Who signs guest tokens: the Cognito user pool, or the development issuer of the local system."""

    COGNITO = "cognito"
    DEVELOPMENT = "development"


class GeocoderChoice(StrEnum):
    """The geocoder for addresses that are neither in the cache nor in the reference data."""

    NONE = "none"
    AMAZON_LOCATION = "amazon_location"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where PostgreSQL is and how to log in."""

    host: str
    port: int
    name: str
    user: str
    authentication: DatabaseAuthentication
    password: str | None
    verify_tls: bool
    ca_file: str | None
    pool_max_connections: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment. Those that differ between organizations are in ``organizations.settings``."""

    database: DatabaseSettings
    payment_events_queue_url: str
    outbox_bell_queue_url: str
    event_bus_name: str
    alert_topic_arn: str
    guest_token_source: GuestTokenSource
    user_pool_id: str
    user_pool_client_id: str
    development_issuer_url: str
    stripe_base_url: str
    paypal_base_url: str
    paypal_webhook_roots_file: str
    """A file of the trusted roots (PEM) of PayPal's webhook certificates; empty: the operating system's roots."""
    square_base_url: str
    adyen_base_url: str
    """Contains ``{prefix}`` where each company has its own URL, as for live payments."""
    storefront_return_url: str
    """Where shoppers return if their shop does not say; empty: nowhere."""
    address_review_page_url: str
    """The page for checking an address, containing ``{token}``, if the shop has none of its own; empty: none."""
    address_review_link_secret: str
    """A reference to the secret with the keys that sign the links to that page."""
    database_master_secret: str
    mail_sender_address: str
    """The sender of mails to shoppers; empty: this deployment sends none."""
    mail_configuration_set: str
    """The Amazon SES configuration set whose events report bounces and complaints; empty: none."""
    archive_key_secret: str
    """A reference to the secret that wraps customers' keys in the archive; empty: nothing is archived or opened."""
    archive_bucket: str
    """The bucket of cold storage; empty: there is none."""
    cold_storage_function: str
    """The function that reads cold storage for the other functions; empty: this process reads it itself."""
    geocoder: GeocoderChoice
    geocoder_budget_ms: int
    """The maximum time, in milliseconds, that a lookup may add to a checkout."""


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Return the settings in a mapping. Raises ``ValueError`` for a missing or malformed value, naming the variable."""

    read = _Environment(environment)
    return Settings(
        database=DatabaseSettings(
            host=read.required("DATABASE_HOST"),
            port=read.whole("DATABASE_PORT", "5432"),
            name=environment.get("DATABASE_NAME", "holdfast"),
            user=environment.get("DATABASE_USER", "holdfast_app"),
            authentication=read.one_of(DatabaseAuthentication, "DATABASE_AUTHENTICATION", "iam"),
            password=environment.get("DATABASE_PASSWORD") or None,
            verify_tls=environment.get("DATABASE_TLS", "verify") != "off",
            ca_file=environment.get("DATABASE_CA_FILE") or None,
            pool_max_connections=read.whole("DATABASE_POOL_MAX_CONNECTIONS", "1"),
        ),
        payment_events_queue_url=environment.get("PAYMENT_EVENTS_QUEUE_URL", ""),
        outbox_bell_queue_url=environment.get("OUTBOX_BELL_QUEUE_URL", ""),
        event_bus_name=environment.get("EVENT_BUS_NAME", ""),
        alert_topic_arn=environment.get("ALERT_TOPIC_ARN", ""),
        guest_token_source=read.one_of(GuestTokenSource, "GUEST_TOKEN_SOURCE", "cognito"),
        user_pool_id=environment.get("USER_POOL_ID", ""),
        user_pool_client_id=environment.get("USER_POOL_CLIENT_ID", ""),
        development_issuer_url=environment.get("DEVELOPMENT_ISSUER_URL", ""),
        stripe_base_url=environment.get("STRIPE_BASE_URL", "https://api.stripe.com"),
        paypal_base_url=environment.get("PAYPAL_BASE_URL", "https://api-m.paypal.com"),
        paypal_webhook_roots_file=environment.get("PAYPAL_WEBHOOK_ROOTS_FILE", ""),
        square_base_url=environment.get("SQUARE_BASE_URL", "https://connect.squareup.com"),
        adyen_base_url=environment.get("ADYEN_BASE_URL", "https://{prefix}-checkout-live.adyenpayments.com/checkout"),
        storefront_return_url=read.page("STOREFRONT_RETURN_URL", valid_template),
        address_review_page_url=read.page("ADDRESS_REVIEW_PAGE_URL", valid_page),
        address_review_link_secret=environment.get("ADDRESS_REVIEW_LINK_SECRET", ""),
        database_master_secret=environment.get("DATABASE_MASTER_SECRET_ARN", ""),
        mail_sender_address=environment.get("MAIL_SENDER_ADDRESS", ""),
        mail_configuration_set=environment.get("MAIL_CONFIGURATION_SET", ""),
        archive_key_secret=environment.get("ARCHIVE_KEY_SECRET", ""),
        archive_bucket=environment.get("ARCHIVE_BUCKET", ""),
        cold_storage_function=environment.get("COLD_STORAGE_FUNCTION", ""),
        geocoder=read.one_of(GeocoderChoice, "GEOCODER", "none"),
        geocoder_budget_ms=read.whole("GEOCODER_BUDGET_MS", "800"),
    )


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return settings_from(os.environ)


def metrics_namespace() -> str:
    """Return the namespace of this environment's metrics.

    It is apart from ``Settings``, which asks for a database: what only counts needs none.
    """
    return os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or "Holdfast/local"


Choice = TypeVar("Choice", bound=StrEnum)


class _Environment:
    """Reads variables; every ValueError names the variable."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def required(self, name: str) -> str:
        value = self._values.get(name)
        if not value:
            raise ValueError(f"the environment variable {name} is not set")
        return value

    def whole(self, name: str, default: str) -> int:
        value = self._values.get(name, default)
        if not value.isdecimal():
            raise ValueError(f"the environment variable {name} is not a whole number: {value!r}")
        return int(value)

    def one_of(self, kind: type[Choice], name: str, default: str) -> Choice:
        value = self._values.get(name) or default
        try:
            return kind(value)
        except ValueError as error:
            choices = ", ".join(kind)
            raise ValueError(f"the environment variable {name} is none of {choices}: {value!r}") from error

    def page(self, name: str, valid: Callable[[str], str]) -> str:
        template = self._values.get(name, "")
        try:
            return valid(template) if template else ""
        except ValueError as error:
            raise ValueError(f"the environment variable {name}: {error}") from error
