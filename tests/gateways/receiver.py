"""A webhook receiver: it keeps what arrives, byte for byte, and answers as told."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

WAIT_MAX_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Received:
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Listens on a free port of 127.0.0.1 inside a `with` block."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._received: list[Received] = []
        self.answers: list[int] = []
        """Status codes for the next deliveries; 200 when none is left."""
        self.answer = b""
        """The body of every answer."""
        self.let_through = threading.Event()
        """While it is cleared, deliveries are received but not answered."""
        self.let_through.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1/webhooks/gateway"

    @property
    def received(self) -> list[Received]:
        with self._arrived:
            return list(self._received)

    def wait_until(self, satisfied: Callable[[Sequence[Received]], bool]) -> list[Received]:
        """Return all deliveries once they satisfy the condition; fail the test if that takes too long."""
        with self._arrived:
            enough = self._arrived.wait_for(lambda: satisfied(self._received), WAIT_MAX_SECONDS)
            assert enough, f"only {len(self._received)} deliveries arrived, and not the expected ones"
            return list(self._received)

    def take(self, received: Received) -> int:
        with self._arrived:
            self._received.append(received)
            status = self.answers.pop(0) if self.answers else 200
            self._arrived.notify_all()
        self.let_through.wait(WAIT_MAX_SECONDS)
        return status

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_through.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler_of(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = WAIT_MAX_SECONDS

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Received(headers, body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
