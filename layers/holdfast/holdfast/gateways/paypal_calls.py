"""Requests to PayPal: authorized with an access token, sent once, and with refusals turned into the port's errors.

Source: https://developer.paypal.com/api/rest/requests/, /api/rest/responses/ and /api/rest/reference/idempotency/.
"""

import json
from typing import Any, Final

import urllib3

from holdfast.gateways.calls import Answer, Deadline, bounded_request, lost_answer
from holdfast.gateways.paypal_access import AccessTokens
from holdfast.gateways.paypal_objects import link_of
from holdfast.gateways.port import GatewayCredentials, GatewayDenied, GatewayRefused
from holdfast.values.errors import HoldfastError

REQUEST_ID_MAX_CHARACTERS: Final = 108


class PayPalCalls:
    """The API requests of one PayPal account."""

    def __init__(
        self, credentials: GatewayCredentials, *, pool: urllib3.PoolManager, tokens: AccessTokens, base_url: str
    ) -> None:
        self._credentials = credentials
        self._pool = pool
        self._tokens = tokens
        self._base_url = base_url.rstrip("/")

    def get(self, path: str, deadline: Deadline) -> dict[str, Any]:
        """Read an object. Raises GatewayUnreachable or GatewayRefused."""
        return self._send("GET", path, None, {}, deadline)

    def post(self, path: str, body: Any, request_id: str, deadline: Deadline) -> dict[str, Any]:
        """Execute a request once per ``request_id``. Raises the errors that ``Gateway`` documents for its verbs."""
        if not 0 < len(request_id) <= REQUEST_ID_MAX_CHARACTERS:
            raise ValueError("a request id has 1 to 108 characters")
        headers = {"PayPal-Request-Id": request_id, "Prefer": "return=representation"}
        return self._send("POST", path, body, headers, deadline)

    def patch(self, path: str, body: list[dict[str, str]], deadline: Deadline) -> None:
        """Change attributes. Idempotent."""
        self._send("PATCH", path, body, {}, deadline)

    def delete(self, path: str, deadline: Deadline) -> None:
        """Delete an object. Idempotent, except that a missing object raises GatewayRefused."""
        self._send("DELETE", path, None, {}, deadline)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str], deadline: Deadline) -> dict[str, Any]:
        """Send one request, once. Only if PayPal rejects the token is it replaced and the request sent again."""
        token = self._token(deadline)
        answer = self._request(method, path, body, headers, token, deadline)
        if answer.status == 401:
            answer = self._request(method, path, body, headers, self._token(deadline, refused=token), deadline)
        if answer.status >= 400:
            raise _error_for(answer, changes=method != "GET")
        return answer.json_object()

    def _token(self, deadline: Deadline, refused: str | None = None) -> str:
        return self._tokens.token(
            self._base_url, self._credentials, deadline_seconds=deadline.left_seconds(), refused=refused
        )

    def _request(
        self, method: str, path: str, body: Any, headers: dict[str, str], token: str, deadline: Deadline
    ) -> Answer:
        return bounded_request(
            self._pool,
            method,
            self._base_url + path,
            vendor="PayPal",
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "Holdfast",
                **headers,
            },
            body=None if body is None else json.dumps(body),
            deadline_seconds=deadline.left_seconds(),
        )


def _error_for(answer: Answer, *, changes: bool) -> HoldfastError:
    """Return the port's error for a response that is not a success, with PayPal's ``issue`` or ``name`` as its code."""
    problem = answer.json_object()
    details = problem.get("details")
    detail = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    code = str(detail.get("issue") or problem.get("name") or f"http_{answer.status}")
    if answer.status == 409:
        # The first request under this id is still being executed.
        return lost_answer(changes)(f"PayPal is still working on this request ({code}).", **answer.retry_hint())
    sentence = detail.get("description") or problem.get("message") or f"PayPal answered {answer.status}."
    facts: dict[str, Any] = {"failure_code": code, "parameter": detail.get("field"), "gateway": "paypal"}
    redirect_url = link_of(problem, "redirect") or link_of(problem, "payer-action")
    if redirect_url:
        facts["redirect_url"] = redirect_url
    kind = GatewayDenied if answer.status in (401, 403) else GatewayRefused
    return kind(str(sentence), **facts)
