"""The HTTP API on this machine: what API Gateway does in front of the functions, from routes to timeouts.

`python -m local.http_api --plan FILE --fd N ...` is one worker; several share a port. The functions run elsewhere, in
the sandboxes of their group (local.lambda_host).
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from local.authorizer import JwtAuthorizer, Unauthorized
from local.http_events import Headers, MalformedAnswer, Request, event, response
from local.issuer import Issuer
from local.lambda_client import FunctionError, FunctionTimeout, NoSandbox, SandboxPool
from local.model import Plan
from local.pages import Pages
from local.routing import Match, Router

REQUEST_MAX_BYTES = 10 * 1024 * 1024
INTEGRATION_TIMEOUT_SECONDS = 30.0
WAITING_MAX_REQUESTS = 1000
GRACE_SECONDS = 3

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, Headers, bytes]


def _message(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Return an answer in the form of API Gateway.

    It is no problem document, because the functions never saw the request.
    """
    return status, [(b"content-type", b"application/json"), *headers], json.dumps({"message": text}).encode()


class _TooLarge(Exception):
    pass


class HttpApi:
    """The ASGI application."""

    def __init__(self, plan: Plan, pools: dict[str, SandboxPool], authorizer: JwtAuthorizer, pages: Pages) -> None:
        self._router = Router(plan.functions)
        self._pools = pools
        self._authorizer = authorizer
        self._pages = pages
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request and logs one line about it."""
        if scope["type"] != "http":
            return
        begin = time.perf_counter()
        request_id = str(uuid.uuid4())
        try:
            body = await _read_body(scope, receive)
            status, headers, content = await self._answer(scope, body, request_id)
        except _TooLarge:
            status, headers, content = _message(413, "Request Entity Too Large", (b"connection", b"close"))
        except ConnectionError:
            return  # the caller left before its request was complete
        headers = [*headers, (b"apigw-requestid", request_id.encode()), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        milliseconds = (time.perf_counter() - begin) * 1000
        sys.stdout.write(f"{self._in_log(scope)} {status} {milliseconds:.0f} ms {request_id}\n")

    def _in_log(self, scope: Scope) -> str:
        """Return the path for the log.

        A path that carries a secret is named by its route, as API Gateway's log does for every path.
        """
        match = self._router.match(scope["method"], scope["path"])
        is_secret = match is not None and "token" in match.path_parameters
        return match.route_key if match is not None and is_secret else f"{scope['method']} {scope['path']}"

    async def _answer(self, scope: Scope, body: bytes, request_id: str) -> Answer:
        method, path = scope["method"], scope["path"]
        match = self._router.match(method, path)
        if match is None:
            page = self._pages.answer(method, path, _header(scope, b"host"), body)
            return page or _message(404, "Not Found")
        claims = None
        if not match.route.is_public:
            try:
                claims = self._authorizer.claims(_header(scope, b"authorization"), time.time())
            except Unauthorized as reason:
                sys.stdout.write(f"401: {reason}\n")
                return _message(401, "Unauthorized", (b"www-authenticate", b"Bearer"))
        if self._waiting >= WAITING_MAX_REQUESTS:
            return _message(429, "Too Many Requests")
        self._waiting += 1
        try:
            return await self._invoke(match, _request(scope, body, request_id, match, claims))
        finally:
            self._waiting -= 1

    async def _invoke(self, match: Match, request: Request) -> Answer:
        function = match.function
        limit = min(INTEGRATION_TIMEOUT_SECONDS, function.timeout_seconds)
        try:
            answer = await self._pools[function.name].invoke(function, event(request), request.request_id, limit)
            return response(answer)
        except NoSandbox as problem:
            sys.stdout.write(f"{request.request_id}: {problem}\n")
            return _message(503, "Service Unavailable")
        except FunctionTimeout as problem:
            sys.stdout.write(f"{request.request_id}: {problem}\n")
            if function.timeout_seconds >= INTEGRATION_TIMEOUT_SECONDS:
                return _message(503, "Service Unavailable")  # API Gateway gives up first
            return _message(500, "Internal Server Error")  # Lambda ended the function first
        except (FunctionError, MalformedAnswer) as problem:
            sys.stdout.write(f"{request.request_id}: {function.name}: {problem}\n")
            return _message(500, "Internal Server Error")


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _request(scope: Scope, body: bytes, request_id: str, match: Match, claims: Any) -> Request:
    client, server = scope["client"] or ("127.0.0.1", 0), scope["server"] or ("127.0.0.1", 0)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=scope["headers"],
        body=body,
        client=client[0],
        port=server[1] or 0,
        http_version=scope["http_version"],
        request_id=request_id,
        route_key=match.route_key,
        path_parameters=match.path_parameters,
        claims=claims,
    )


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    declared = _header(scope, b"content-length")
    if declared.isdecimal() and int(declared) > REQUEST_MAX_BYTES:
        raise _TooLarge
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > REQUEST_MAX_BYTES:
            raise _TooLarge
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def pools_of(plan: Plan, sockets: Path, size: int) -> dict[str, SandboxPool]:
    """Return a pool for every HTTP function.

    Functions of one group share it. `size` bounds the sandboxes of each pool.
    """
    pools: dict[str, SandboxPool] = {}
    for name, functions in plan.groups().items():
        pool = SandboxPool(sockets / f"{name}.sock", size)
        pools |= {function.name: pool for function in functions if function.routes}
    return pools


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, then lets running requests finish for a few seconds."""
    parser = argparse.ArgumentParser(prog="local.http_api")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--sockets", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--sandboxes", type=int, required=True)
    options = parser.parse_args(arguments)
    plan = Plan.load(options.plan)
    issuer = Issuer(options.state, plan.jwt.issuer)
    api = HttpApi(
        plan,
        pools_of(plan, options.sockets, options.sandboxes),
        JwtAuthorizer(plan.jwt, issuer.public_key),
        Pages(options.state, issuer),
    )
    config = uvicorn.Config(
        api,
        loop="auto",
        http="auto",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with socket.socket(fileno=options.fd) as listener:
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
