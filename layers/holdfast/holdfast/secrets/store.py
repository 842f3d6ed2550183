"""Secrets Manager by reference, cached only briefly so that a rotation takes effect within minutes."""

import json
import time
from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import Any, Final

from holdfast.values.errors import Transient

CACHE_SECONDS: Final = 300
FRESH_READ_MIN_INTERVAL_SECONDS: Final = 30
"""Fresh reads more frequent than this get the cached value, so that bad signatures do not turn into API calls."""


class SecretStore:
    """Reads JSON secrets. Each process caches values for ``CACHE_SECONDS``."""

    def __init__(self) -> None:
        self._cache: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._lock = Lock()

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only functions that read secrets pay for it

        return boto3.client("secretsmanager")

    def read(self, reference: str, *, fresh: bool = False) -> Mapping[str, Any]:
        """Return the secret as a mapping.

        ``fresh`` skips a value cached for ``FRESH_READ_MIN_INTERVAL_SECONDS`` or longer, because a signature may fail
        only because the secret was rotated. Raises Transient when Secrets Manager does not answer or does not know the
        reference.
        """
        now = time.monotonic()
        with self._lock:
            cached = self._cache.get(reference)
        max_age_seconds = FRESH_READ_MIN_INTERVAL_SECONDS if fresh else CACHE_SECONDS
        if cached is not None and now - cached[0] < max_age_seconds:
            return cached[1]
        try:
            value: Mapping[str, Any] = json.loads(self._client.get_secret_value(SecretId=reference)["SecretString"])
        except Exception as error:
            raise Transient(f"the secret {reference} cannot be read: {type(error).__name__}") from error
        with self._lock:
            self._cache[reference] = (now, value)
        return value
