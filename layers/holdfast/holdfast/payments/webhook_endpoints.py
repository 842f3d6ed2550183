"""The endpoints to which gateways send webhooks: whose each is, cached briefly because every webhook asks."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final
from uuid import UUID

KNOWN_SECONDS: Final = 30.0
KNOWN_MAX_ENDPOINTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whose webhook endpoint it is, and where to find the secrets that verify its webhooks."""

    organization_id: UUID
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    webhook_id: str | None
    notification_url: str | None


class KnownEndpoints:
    """A cache of the endpoints looked up in the last ``KNOWN_SECONDS``, by gateway and key. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: dict[tuple[str, str], tuple[float, Endpoint]] = {}
        self._lock = Lock()

    def find(self, gateway: str, endpoint_key: str) -> Endpoint | None:
        """Return the endpoint, or ``None`` if nobody looked it up lately."""
        with self._lock:
            known = self._known.get((gateway, endpoint_key))
        return None if known is None or self._monotonic() - known[0] >= KNOWN_SECONDS else known[1]

    def keep(self, gateway: str, endpoint_key: str, endpoint: Endpoint) -> None:
        """Cache an endpoint from now on; when the cache is full, the one that was looked up longest ago is dropped."""
        with self._lock:
            self._known.pop((gateway, endpoint_key), None)
            self._known[gateway, endpoint_key] = (self._monotonic(), endpoint)
            while len(self._known) > KNOWN_MAX_ENDPOINTS:
                del self._known[next(iter(self._known))]
