"""The development issuer behind a real HTTP server, as in the local system; it can be told to misbehave."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from local.issuer import Issuer


class IssuerServer:
    """Serves ``POST /token`` of ``local.issuer`` on a free port; ``answers_instead``, if set, replaces its answer."""

    def __init__(self, folder: Path) -> None:
        self.answers_instead: tuple[int, bytes] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = outer.answer(self.path, body)
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.issuer = Issuer(folder, self.url)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return the status and body to send back."""
        if self.answers_instead is not None:
            return self.answers_instead
        if path != "/token":
            return 404, b"{}"
        status, document = self.issuer.answer(body, now=datetime.now(UTC))
        return status, json.dumps(document).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
