"""One HTTP call to a gateway, made once: bounded in time, and honest about whether it may have been executed.

Nothing is retried here. urllib3's retries are off because it cannot tell a safe repetition from a second charge. The
rule instead: a request that was certainly not executed is ``GatewayUnreachable``, one that may have been is
``OutcomeUnknown``, and the flow repeats it under the same idempotency key.
"""

import hashlib
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from holdfast.gateways.port import GatewayUnreachable, OutcomeUnknown

CONNECT_TIMEOUT_SECONDS: Final = 2.0
POOL_MAX_CONNECTIONS: Final = 8
_RETRY_AFTER_MAX_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """A gateway's response: 2xx, or 4xx other than 429."""

    status: int
    headers: Mapping[str, str]
    """Lookups ignore case."""
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty one if it is not an object."""
        try:
            answer = json.loads(self.body)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def retry_hint(self) -> dict[str, int]:
        """Return the gateway's ``Retry-After`` as the ``retry_after_seconds`` keyword of a ``Transient``, if any.

        The value is limited to between 1 and 60 seconds.
        """
        wanted = self.headers.get("Retry-After")
        if wanted is None or not wanted.isascii() or not wanted.isdigit():
            return {}
        return {"retry_after_seconds": max(1, min(int(wanted[:6]), _RETRY_AFTER_MAX_SECONDS))}


def connection_pool() -> urllib3.PoolManager:
    """Return a pool of kept-alive connections for all gateways of a process. TLS is verified, nothing is retried."""
    return urllib3.PoolManager(maxsize=POOL_MAX_CONNECTIONS, retries=False, cert_reqs="CERT_REQUIRED")


def bounded_request(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    *,
    vendor: str,
    headers: Mapping[str, str],
    body: str | bytes | None = None,
    deadline_seconds: float,
    changes: bool | None = None,
) -> Answer:
    """Send one request, once, and return the response if it arrives within ``deadline_seconds``.

    ``vendor`` names the gateway in errors. ``changes`` says whether executing the request changes anything at the
    gateway; by default everything but a GET does.

    Returns a 2xx or 4xx response. Raises ``GatewayUnreachable`` where the request was certainly not executed (no
    address, no connection, no trusted TLS, 429) or changes nothing. Raises ``OutcomeUnknown`` where it was sent and
    the response was lost or says nothing about what happened (5xx, or a redirect, which is never followed).
    """
    lost = lost_answer(method != "GET" if changes is None else changes)
    timeout = urllib3.Timeout(total=deadline_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, deadline_seconds))
    try:
        response = pool.request(
            method, url, body=body, headers=dict(headers), timeout=timeout, retries=False, redirect=False
        )
    except urllib3.exceptions.HTTPError as error:
        if _never_sent(error):
            raise GatewayUnreachable(f"{vendor} cannot be reached: {type(error).__name__}.") from error
        raise lost(f"{vendor}'s answer was lost: {type(error).__name__}.") from error
    answer = Answer(response.status, response.headers, response.data)
    if answer.status == 429:
        raise GatewayUnreachable(f"{vendor} turned the request away (429).", **answer.retry_hint())
    if not (200 <= answer.status < 300 or 400 <= answer.status < 500):
        raise lost(f"{vendor} answered {answer.status}.", **answer.retry_hint())
    return answer


def lost_answer(changes: bool) -> type[GatewayUnreachable | OutcomeUnknown]:
    """Return the error class for a lost response. A request that changes nothing leaves no unknown outcome."""
    return OutcomeUnknown if changes else GatewayUnreachable


def _never_sent(error: urllib3.exceptions.HTTPError) -> bool:
    """Return whether the request cannot have reached the gateway: no address, no connection, no trusted TLS."""
    if isinstance(error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(error, urllib3.exceptions.SSLError) and isinstance(cause, ssl.SSLCertVerificationError)


def fitting_key(key: str, max_characters: int) -> str:
    """Return ``key``, or if it is too long for the vendor, as much of its hexadecimal SHA-256 as fits.

    The same key always gives the same result. 45 hexadecimal characters are 180 bits. Raises ``ValueError`` for an
    empty key.
    """
    if not key:
        raise ValueError("an idempotency key has at least one character")
    if len(key) <= max_characters:
        return key
    return hashlib.sha256(key.encode()).hexdigest()[:max_characters]


class Deadline:
    """The time left for a call, as one verb of the port may take several requests."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        """Return the seconds left.

        Raises ``GatewayUnreachable`` when none are left: a request that was not sent was not executed.
        """
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise GatewayUnreachable("The time for this call was used up before the gateway could be asked.")
        return left
