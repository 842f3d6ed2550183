"""`make smoke` reports that a whole system is whole, and of a broken one what is broken."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from smoke.checks import ask_everything
from smoke.report import Line, Report, Result
from smoke.system import Options, System
from tests.journeys.conftest import City

NOT_LOCAL = "TLS: a certificate that is trusted, 1.2 or newer"


def asked(city: City, *, url: str = "", **more: Any) -> list[Line]:
    """Return what the smoke test reports of the city, or of what stands in front of it."""
    assert city.system.shop is not None
    options = Options(
        url=url or city.system.api_url,
        publishable_key=city.system.shop.publishable_key,
        staff_token=city.system.token("manager"),
        endpoint_key=city.system.shop.endpoint_key,
        **more,
    )
    report = Report(lambda _line: None)
    ask_everything(System(options), report)
    return report.lines


def test_a_whole_system_passes_and_keeps_nothing_of_it(city: City) -> None:
    sku = city.sku(1)
    lines = asked(city, sku=sku)
    assert [line for line in lines if line.result is Result.FAILED] == []
    assert [line.check for line in lines if line.result is Result.NOT_ASKED] == [NOT_LOCAL]
    assert city.stock(sku) == (1, 0)


class Saboteur(BaseHTTPRequestHandler):
    """Stands in front of the system and spoils every answer that somebody relies on."""

    city: City
    stolen = 0

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        url = self.city.system.api_url + self.path
        answer = urllib3.request(self.command, url, body=body or None, headers=sent, retries=False)
        status, told = self._spoiled(answer.status, answer.data)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _spoiled(self, status: int, told: bytes) -> tuple[int, bytes]:
        if self.path == "/v1/health":
            return status, b'{"status": "down"}'
        if self.path == "/v1/openapi.json":
            return status, b'{"paths": {}}'
        if status in {401, 403, 404, 422}:
            return 200, b"{}"
        if self.path == "/v1/checkout":
            type(self).stolen += 1
            return status, told + b" " * self.stolen
        for right, wrong in ((b'"status": "confirmed"', b'"status": "processing"'), (b'"refunded"', b'"captured"')):
            told = told.replace(right, wrong)
        return status, told.replace(b'"last_webhook_at": "20', b'"last_webhook_at": "10')


@contextmanager
def spoiled(city: City) -> Iterator[str]:
    """The address of a system that breaks every promise."""
    Saboteur.city = city
    server = ThreadingHTTPServer(("127.0.0.1", 0), Saboteur)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_check_can_fail(city: City) -> None:
    with spoiled(city) as url:
        lines = asked(city, url=url, sku=city.sku(2), within_seconds=1)
    sound = {NOT_LOCAL, "POST /v1/guest-sessions: a guest gets a token", "POST /v1/checkout: an order"}
    assert {line.check for line in lines if line.result is not Result.FAILED} == sound


@pytest.mark.parametrize("given", [{"sku": "NO-SUCH-SKU"}, {"payment_token": "pm_card_chargeDeclined"}])
def test_an_order_that_cannot_be_placed_fails_with_the_reason(city: City, given: dict[str, str]) -> None:
    lines = asked(city, **given)
    failed = [line for line in lines if line.result is Result.FAILED]
    assert [line.check for line in failed] == ["POST /v1/checkout: an order"]
    assert failed[0].seen.split()[0] in {"402", "422"}
