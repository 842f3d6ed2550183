"""The HTTP side: `POST /v2/geocode` as Amazon Location answers it, and a control surface to make it misbehave.

https://docs.aws.amazon.com/location/latest/APIReference/API_geoplaces_Geocode.html

    POST /_control/behavior   {"manner": "slow", "delay_seconds": 10}     how to treat calls from now on
    GET  /_control/calls      {"calls": [...]}                            the requests that came so far
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from local.geocoder_server import places

MANNERS: Final = (
    "well",
    "slow",
    "dripping",
    "down",
    "dropping",
    "throttling",
    "refusing",
    "garbled",
    "elsewhere",
    "off_the_globe",
)
BODY_MAX_BYTES: Final = 100_000
_DRIP_SECONDS: Final = 0.1


class Geocoder:
    """What the server was told to do, and what it was asked. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._manner, self._delay_seconds = "well", 0.0
        self._calls: list[dict[str, Any]] = []
        self.stopped = threading.Event()

    def behave(self, manner: str, delay_seconds: float = 0.0) -> None:
        """Treat every call in this manner from now on."""
        if manner not in MANNERS:
            raise ValueError(f"the manners are {', '.join(MANNERS)}")
        with self._lock:
            self._manner, self._delay_seconds = manner, delay_seconds

    def called(self, request: dict[str, Any]) -> tuple[str, float]:
        """Record a call and return how to treat it: the manner and a delay in seconds."""
        with self._lock:
            self._calls.append(request)
            return self._manner, self._delay_seconds

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The bodies of the requests that came so far."""
        with self._lock:
            return list(self._calls)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    geocoder: Geocoder

    def do_GET(self) -> None:
        """Answer with what was recorded."""
        if self.path == "/_control/calls":
            self._answer(200, {"calls": self.geocoder.calls})
        else:
            self._answer(404, {"message": "there is nothing here"})

    def do_POST(self) -> None:
        """Answer a call, or take a command how to treat calls."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_MAX_BYTES))
        try:
            request = json.loads(body)
        except ValueError:
            self._refuse(400, "ValidationException", "the body is not JSON")
            return
        if self.path == "/_control/behavior":
            self.geocoder.behave(str(request["manner"]), float(request.get("delay_seconds", 0)))
            self._answer(200, {})
        elif self.path.split("?")[0] == "/v2/geocode":
            self._geocode(request)
        else:
            self._answer(404, {"message": "there is nothing here"})

    def _geocode(self, request: dict[str, Any]) -> None:
        manner, delay_seconds = self.geocoder.called(request)
        if manner == "slow":
            self.geocoder.stopped.wait(delay_seconds)
        if manner == "dropping":
            self.close_connection = True
        elif manner == "down":
            self._refuse(500, "InternalServerException", "something broke")
        elif manner == "throttling":
            self._refuse(429, "ThrottlingException", "too many requests")
        elif "/geo-places/aws4_request" not in self.headers.get("Authorization", ""):
            self._refuse(403, "AccessDeniedException", "the request is not signed for geo-places")
        elif manner == "refusing" or not (request.get("QueryText") or request.get("QueryComponents")):
            self._refuse(400, "ValidationException", "QueryText or QueryComponents is required")
        else:
            self._found(request, manner)

    def _found(self, request: dict[str, Any], manner: str) -> None:
        countries = request.get("Filter", {}).get("IncludeCountries", [])
        text = request.get("QueryText") or ", ".join(str(part) for part in request["QueryComponents"].values())
        items = places.find(text, countries)[: request.get("MaxResults", 20)]
        for item in items:
            if manner == "elsewhere":
                item["Address"]["Country"] = {"Code2": "AQ", "Code3": "ATA", "Name": "Antarctica"}
            if manner == "off_the_globe":
                item["Position"] = [999.0, -999.0]
        bucket = "Stored" if request.get("IntendedUse") == "Storage" else "Core"
        content = b"<html>busy</html>" if manner == "garbled" else json.dumps({"ResultItems": items}).encode()
        self._send(200, content, {"x-amz-geo-pricing-bucket": bucket}, drip=manner == "dripping")

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._send(status, json.dumps({"Message": message}).encode(), {"x-amzn-errortype": kind})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), {})

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, drip: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for byte in content if drip else ():
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.geocoder.stopped.wait(_DRIP_SECONDS):
                    return
            if not drip:
                self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the caller did not wait

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Log nothing: addresses do not belong in a log."""


def make_server(port: int, host: str = "127.0.0.1") -> tuple[ThreadingHTTPServer, Geocoder]:
    """Return a server that listens (on a free port for 0) and is yet to serve, and the object that controls it."""
    geocoder = Geocoder()
    handler = type("Handler", (_Handler,), {"geocoder": geocoder})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    return server, geocoder
