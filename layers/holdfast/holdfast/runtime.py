"""The composition root: the flows' external dependencies, built on first use and kept for the life of the process."""

import time
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

from holdfast.settings import GeocoderChoice, GuestTokenSource, Settings, settings

if TYPE_CHECKING:
    from holdfast.addresses.lookup_tally import LookupTally
    from holdfast.addresses.warm_places import WarmPlaces
    from holdfast.archive.sealing import Keyring
    from holdfast.database.transaction import Database
    from holdfast.gateways.registry import GatewayRegistry
    from holdfast.geocoders.bounded import BoundedGeocoder
    from holdfast.identity.port import GuestTokens
    from holdfast.mail.port import MailService
    from holdfast.messaging.alerts import AlertTopic
    from holdfast.messaging.event_bus import EventBus
    from holdfast.messaging.queue import Queue
    from holdfast.payments.webhook_endpoints import KnownEndpoints
    from holdfast.secrets.store import SecretStore
    from holdfast.storage.bucket import Bucket, BucketReader
    from holdfast.storage.cold_reader import ColdReader


@dataclass
class Runtime:
    """Lazily built ports. A function pays only for the ports it uses; boto3 alone costs 130 ms of a cold start."""

    settings: Settings

    @cached_property
    def database(self) -> "Database":
        """The connection pool of this process."""
        from holdfast.database.engine import make_engine  # noqa: PLC0415 -- lazily, see the class
        from holdfast.database.transaction import Database  # noqa: PLC0415

        return Database(make_engine(self.settings.database))

    @cached_property
    def secrets(self) -> "SecretStore":
        """Reads secrets by reference, cached for minutes."""
        from holdfast.secrets.store import SecretStore  # noqa: PLC0415

        return SecretStore()

    @cached_property
    def keyring(self) -> "Keyring":
        """Seals and opens the personal part of archived orders."""
        from holdfast.archive.sealing import Keyring  # noqa: PLC0415

        return Keyring(str(self.secrets.read(self.settings.archive_key_secret)["key"]))

    @cached_property
    def archive_bucket(self) -> "Bucket":
        """The bucket of cold storage, to read and write."""
        from holdfast.storage.bucket import Bucket  # noqa: PLC0415

        return Bucket(self.settings.archive_bucket)

    @cached_property
    def archive_reader(self) -> "BucketReader":
        """The same bucket, for functions that only read it."""
        from holdfast.storage.bucket import BucketReader  # noqa: PLC0415

        return BucketReader(self.settings.archive_bucket)

    @cached_property
    def cold_reader(self) -> "ColdReader":
        """Reads orders from cold storage: through its function, or itself where none is set."""
        from holdfast.storage.cold_reader import InvokedReader, OwnReader  # noqa: PLC0415

        if self.settings.cold_storage_function:
            return InvokedReader(self.settings.cold_storage_function)
        return OwnReader(self.archive_bucket)

    @cached_property
    def gateways(self) -> "GatewayRegistry":
        """The payment gateways, by name and account."""
        from holdfast.gateways.registry import GatewayRegistry  # noqa: PLC0415

        return GatewayRegistry(self.settings, self.secrets)

    @cached_property
    def geocoder(self) -> "BoundedGeocoder | None":
        """The external geocoder for addresses that are not known here; None if this deployment has none."""
        if self.settings.geocoder is GeocoderChoice.NONE:
            return None
        from holdfast.geocoders.amazon_location import AmazonLocation  # noqa: PLC0415
        from holdfast.geocoders.bounded import BoundedGeocoder  # noqa: PLC0415
        from holdfast.geocoders.circuit_breaker import CircuitBreaker  # noqa: PLC0415

        breaker = CircuitBreaker(time.monotonic)
        return BoundedGeocoder(AmazonLocation(), breaker, budget_seconds=self.settings.geocoder_budget_ms / 1000)

    @cached_property
    def warm_places(self) -> "WarmPlaces":
        """The addresses that this process found recently."""
        from holdfast.addresses.warm_places import WarmPlaces  # noqa: PLC0415

        return WarmPlaces()

    @cached_property
    def lookup_tally(self) -> "LookupTally":
        """The results of address lookups, for the metrics."""
        from holdfast.addresses.lookup_tally import LookupTally  # noqa: PLC0415

        return LookupTally()

    @cached_property
    def webhook_endpoints(self) -> "KnownEndpoints":
        """The owners of the webhook endpoints that this process recently received webhooks for."""
        from holdfast.payments.webhook_endpoints import KnownEndpoints  # noqa: PLC0415

        return KnownEndpoints(time.monotonic)

    @cached_property
    def payment_events_queue(self) -> "Queue":
        """The queue in which stored payment events wait for the worker."""
        from holdfast.messaging.queue import Queue  # noqa: PLC0415

        return Queue(self.settings.payment_events_queue_url)

    @cached_property
    def outbox_bell(self) -> "Queue":
        """The queue whose messages wake the outbox relay."""
        from holdfast.messaging.queue import Queue  # noqa: PLC0415

        return Queue(self.settings.outbox_bell_queue_url)

    @cached_property
    def event_bus(self) -> "EventBus":
        """The bus on which domain events are published."""
        from holdfast.messaging.event_bus import EventBus  # noqa: PLC0415

        return EventBus(self.settings.event_bus_name)

    @cached_property
    def alerts(self) -> "AlertTopic":
        """The topic that alerts people."""
        from holdfast.messaging.alerts import AlertTopic  # noqa: PLC0415

        return AlertTopic(self.settings.alert_topic_arn)

    @cached_property
    def mail(self) -> "MailService":
        """The service that sends mails to shoppers. Raises ValueError in a deployment that sends none."""
        from holdfast.mail.ses import SimpleEmailService  # noqa: PLC0415

        if not self.settings.mail_sender_address:
            raise ValueError("this deployment sends no mail: MAIL_SENDER_ADDRESS is not set")
        return SimpleEmailService(self.settings.mail_sender_address, self.settings.mail_configuration_set)

    @cached_property
    def guest_tokens(self) -> "GuestTokens":
        """The issuer of guest tokens."""
        if self.settings.guest_token_source is GuestTokenSource.DEVELOPMENT:
            from holdfast.identity.development import DevelopmentGuestTokens  # noqa: PLC0415

            return DevelopmentGuestTokens(self.settings.development_issuer_url)
        from holdfast.identity.cognito import CognitoGuestTokens  # noqa: PLC0415

        return CognitoGuestTokens(self.settings.user_pool_id, self.settings.user_pool_client_id)


_current: Runtime | None = None
_current_lock = Lock()


def runtime() -> Runtime:
    """Return the runtime of this process, which is created on first use."""
    global _current  # noqa: PLW0603 -- the one composition root
    with _current_lock:
        if _current is None:
            _current = Runtime(settings())
        return _current


def use(replacement: Runtime | None) -> None:
    """Replace the runtime (for tests); ``None`` makes the next use create a new one."""
    global _current  # noqa: PLW0603
    with _current_lock:
        _current = replacement
