"""The system as its callers see it: HTTP requests with a token, and the time they took."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

from smoke.report import Failed

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 30
"""An HTTP API answers within 30 s, if only with 503."""
POLL_SECONDS = 0.5
PAYMENT_TOKEN = "pm_card_visa"  # noqa: S105 (Stripe's name of a test card)
SKU = "TEE-BLK-M"


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to ask, on whose behalf, and for what."""

    url: str
    token: str = ""
    publishable_key: str = ""
    other_token: str = ""
    staff_token: str = ""
    gateway: str = "stripe"
    endpoint_key: str = ""
    payment_token: str = PAYMENT_TOKEN
    sku: str = SKU
    within_seconds: float = 30.0
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    raw: bytes
    headers: Mapping[str, str]
    milliseconds: int

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the body. Raises Failed when it is not JSON."""
        try:
            document: dict[str, Any] = json.loads(self.raw)
        except ValueError:
            raise Failed(f"{self.status} with a body that is no JSON: {self.raw[:60]!r}") from None
        return document

    def told(self) -> str:
        """Return status and code, for the report."""
        code = self.body.get("code") if "problem" in self.headers.get("content-type", "") else None
        return f"{self.status} {code}" if code else f"{self.status}"


class System:
    """One deployed system."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.address = urlsplit(options.url)
        self._http = urllib3.PoolManager(
            retries=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
            cert_reqs="CERT_REQUIRED",
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request. A ``body`` is sent as JSON, except that bytes are sent as they are."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if key:
            sent["Idempotency-Key"] = key
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        begin = time.monotonic()
        answer = self._http.request(method, self.options.url.rstrip("/") + path, body=data, headers=sent)
        elapsed = round((time.monotonic() - begin) * 1000)
        return Reply(answer.status, answer.data, {k.lower(): v for k, v in answer.headers.items()}, elapsed)

    def await_that(self, satisfied: Callable[[], bool], what: str) -> float:
        """Poll until the condition holds, and return the seconds it took.

        Raises Failed when it does not hold within the given time.
        """
        begin = time.monotonic()
        while not satisfied():
            waited = time.monotonic() - begin
            if waited > self.options.within_seconds:
                raise Failed(f"not within {self.options.within_seconds:g} s: {what}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begin


def new_key() -> str:
    """Return an idempotency key that nobody has used."""
    return f"smoke-{uuid.uuid4()}"
