"""``python -m local.stripe_server (--port 12111 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

import argparse
import socket
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local.stripe_server.server import DROP_CONNECTION, create_app


class DroppingProtocol(HttpToolsProtocol):
    """HTTP whose connection the application can close without an answer."""

    def on_message_begin(self) -> None:
        """Offer the extension to every request."""
        super().on_message_begin()
        self.scope["extensions"] = {DROP_CONNECTION: {"close": self.transport.close}}


def configuration(
    port: int, *, host: str = "127.0.0.1", state_file: Path | None = None, refund_delay_seconds: float = 1.0
) -> uvicorn.Config:
    """How uvicorn serves the application, with connections that can be dropped."""
    return uvicorn.Config(
        create_app(state_file=state_file, refund_delay_seconds=refund_delay_seconds),
        host=host,
        port=port,
        http=DroppingProtocol,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="local.stripe_server", description="A Stripe on this machine.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int)
    where.add_argument("--fd", type=int, help="a listening socket that was inherited: no port can be lost to others")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--state", type=Path, help="keep payments in this file over restarts")
    parser.add_argument("--refund-delay-seconds", type=float, default=1.0, help="until a refund of a test card fails")
    given = parser.parse_args()
    config = configuration(
        given.port or 0, host=given.host, state_file=given.state, refund_delay_seconds=given.refund_delay_seconds
    )
    inherited = None if given.fd is None else [socket.socket(fileno=given.fd)]
    uvicorn.Server(config).run(sockets=inherited)


if __name__ == "__main__":
    main()
