"""One HTTP call to a gateway, made once: bounded in time, and honest about whether it may have been executed.

There is no retry in here. urllib3's are off because it cannot tell a safe repetition from a second charge; the rule is
ours: what surely was not executed is ``GatewayUnreachable``, what may have been is ``OutcomeUnknown``, and the flow
repeats under the same idempotency key.
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
    """What a gateway answered: 2xx, or 4xx without 429."""

    status: int
    headers: Mapping[str, str]
    """Case does not matter when looking a header up."""
    body: bytes

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        try:
            answer = json.loads(self.body)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def retry_hint(self) -> dict[str, int]:
        """``retry_after_seconds`` as the gateway asks for it, as keyword arguments of a ``Transient``; else empty."""
        wanted = self.headers.get("Retry-After")
        if wanted is None or not wanted.isascii() or not wanted.isdigit():
            return {}
        return {"retry_after_seconds": max(1, min(int(wanted[:6]), _RETRY_AFTER_MAX_SECONDS))}


def connection_pool() -> urllib3.PoolManager:
    """Kept-alive connections, to be shared by the gateways of a process: TLS is verified, nothing is retried."""
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
    """One request, once, answered within ``deadline_seconds``. ``vendor`` names the gateway in errors.

    ``changes``: whether executing it changes anything at the gateway; unless told, everything but a GET does.

    Returns what was answered with 2xx or 4xx. Raises ``GatewayUnreachable`` where the request surely was not executed
    (no address, no connection, no trusted TLS, 429) or changes nothing, and ``OutcomeUnknown`` where it was sent and
    the answer was lost, or says nothing of what happened (5xx, and a redirection, which is never followed).
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
    """The error for an answer that was lost. Reading changes nothing at a gateway, and leaves nothing unknown."""
    return OutcomeUnknown if changes else GatewayUnreachable


def _never_sent(error: urllib3.exceptions.HTTPError) -> bool:
    """Whether the request cannot have reached the gateway: no address, no connection, no trusted TLS."""
    if isinstance(error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(error, urllib3.exceptions.SSLError) and isinstance(cause, ssl.SSLCertVerificationError)


def fitting_key(key: str, max_characters: int) -> str:
    """``key``, or where the vendor takes no key that long, as much of its SHA-256 in hex as fits: always the same.

    45 characters of it are 180 bits. Raises ``ValueError`` for an empty key.
    """
    if not key:
        raise ValueError("an idempotency key has at least one character")
    if len(key) <= max_characters:
        return key
    return hashlib.sha256(key.encode()).hexdigest()[:max_characters]


class Deadline:
    """What is left of a call's time: one verb of the port may be several requests."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        """Raises ``GatewayUnreachable`` when nothing is left: what was not sent was not executed."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise GatewayUnreachable("The time for this call was used up before the gateway could be asked.")
        return left
