"""HTTP without a socket: the local system's own gateway, with the functions in this process behind it.

Routes, tokens and the events of the functions are the same as in ``make run``; only the way from the gateway to a
function is shorter. The functions' logs go to a file, so that a fault can be reported with what was logged about it.
"""

import asyncio
import gzip
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import requests
from schemathesis.core.transport import Response

from local.authorizer import JwtAuthorizer
from local.http_api import HttpApi
from local.http_events import Headers
from local.lambda_client import FunctionError
from local.model import Function, JwtSettings
from local.pages import Pages
from local.routing import Router
from local.template import read
from tests.handlers.door import Door
from tests.identity.issuer_server import IssuerServer

TEMPLATE: Final = Path(__file__).parents[2] / "template.yaml"
BASE_URL: Final = "http://api.holdfast.example"


class _InThisProcess:
    """Takes the place of a pool of sandboxes."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def invoke(self, function: Function, event: Any, request_id: str, timeout_seconds: float) -> Any:
        """Return the function's answer as it travels: as JSON."""
        try:
            answer = self._door.invoke(function.name, json.loads(json.dumps(event)), seconds=timeout_seconds)
            return json.loads(json.dumps(answer, allow_nan=False))
        except Exception as problem:
            raise FunctionError(type(problem).__name__, str(problem)) from problem


@dataclass(frozen=True, slots=True)
class Log:
    """Where everything goes that the functions and the gateway write."""

    path: Path

    def __post_init__(self) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sys.stdout.flush()
        os.dup2(file, sys.stdout.fileno())
        os.close(file)

    def end(self) -> int:
        """The present end of the log, in bytes."""
        sys.stdout.flush()
        return self.path.stat().st_size

    def since(self, begin: int) -> str:
        """Return what was written since then."""
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")


class Wire:
    """Sends prepared requests, one at a time."""

    def __init__(self, door: Door, server: IssuerServer, folder: Path) -> None:
        jwt = JwtSettings(server.url, ("holdfast",))
        plan = replace(read(TEMPLATE, aws_url=os.environ["AWS_ENDPOINT_URL"], environment={}), jwt=jwt)
        self._router = Router(plan.functions)
        pool: Any = _InThisProcess(door)
        pools = {function.name: pool for function in plan.functions}
        authorizer = JwtAuthorizer(jwt, server.issuer.public_key)
        self._api = HttpApi(plan, pools, authorizer, Pages(folder, server.issuer))

    def route(self, request: requests.PreparedRequest) -> str | None:
        """Return the route that a request takes, which is not always the one it was made for."""
        match = self._router.match(str(request.method), _path(request))
        return None if match is None else match.route_key

    def send(self, request: requests.PreparedRequest) -> Response:
        """Send a request and return the answer."""
        status, headers, content = asyncio.run(self._exchange(request))
        named: dict[str, list[str]] = {}
        for name, value in headers:
            named.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        if named.get("content-encoding") == ["gzip"]:
            content = gzip.decompress(content)  # as every client does that accepts gzip
        return Response(status, named, content, request, elapsed=0.0, verify=False, http_version="1.1")

    async def _exchange(self, request: requests.PreparedRequest) -> tuple[int, Headers, bytes]:
        body = request.body or b""
        told: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body.encode() if isinstance(body, str) else body}

        async def send(message: Mapping[str, Any]) -> None:
            told.append(message)

        await self._api(_scope(request), receive, send)
        start, content = told
        return start["status"], start["headers"], content["body"]


def _path(request: requests.PreparedRequest) -> str:
    return unquote(urlsplit(str(request.url)).path)


def _scope(request: requests.PreparedRequest) -> dict[str, Any]:
    headers = [(b"host", b"api.holdfast.example")]
    for name, value in request.headers.items():
        sent = value.encode("latin-1", "replace") if isinstance(value, str) else value
        headers.append((name.lower().encode("latin-1", "replace"), sent))
    return {
        "type": "http",
        "method": request.method,
        "path": _path(request),
        "query_string": urlsplit(str(request.url)).query.encode(),
        "headers": headers,
        "client": ("192.0.2.7", 4711),
        "server": ("127.0.0.1", 80),
        "http_version": "1.1",
    }
