"""How a server is started: ``python -m local.<server> (--port 12111 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.gateway_server.server import DROP_CONNECTION, GatewayServer


class DroppingProtocol(HttpToolsProtocol):
    """HTTP with connections that the application can close without an answer."""

    def on_message_begin(self) -> None:
        """Offer the extension to every request."""
        super().on_message_begin()
        self.scope["extensions"] = {DROP_CONNECTION: {"close": self.transport.close}}


def configuration(application: GatewayServer, port: int, *, host: str = "127.0.0.1") -> uvicorn.Config:
    """Return how uvicorn serves the application, with connections that can be dropped."""
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        http=DroppingProtocol,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def main(name: str, create_app: Callable[[Path | None, float], GatewayServer]) -> None:
    """Serve until interrupted. ``create_app`` takes the state file and the delay in seconds of what happens later."""
    parser = argparse.ArgumentParser(prog=f"local.{name}", description="A payment gateway on this machine.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int)
    where.add_argument("--fd", type=int, help="a listening socket that was inherited: no port can be lost to others")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, help="keep payments in this file over restarts")
    parser.add_argument(
        "--refund-delay-seconds", type=float, default=1.0, help="until the gateway decides what it decides later"
    )
    parser.add_argument("--webhook-lag-seconds", type=float, default=0.0, help="between a call's answer and its events")
    given = parser.parse_args()
    application = create_app(given.state, given.refund_delay_seconds)
    application.courier.lag_seconds = given.webhook_lag_seconds
    config = configuration(application, given.port or 0, host=given.host)
    inherited = None if given.fd is None else [socket.socket(fileno=given.fd)]
    uvicorn.Server(config).run(sockets=inherited)
