"""Which certificate is trusted: PayPal's own, from PayPal's address, under a trusted root, and valid now."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import urllib3

from holdfast.gateways import paypal_certificates
from holdfast.gateways.paypal_certificates import BODY_MAX_BYTES, CACHED_MAX, CertificateSource
from holdfast.gateways.port import GatewayUnreachable
from holdfast.values.errors import SignatureInvalid
from local.paypal_server.certificates import new_signer
from local.paypal_server.model import Signer
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.served import REPOSITORY

NOW = datetime.now(UTC)
PATH = "/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"


class Shelf(ThreadingHTTPServer):
    """A server on this machine that stands in for the PayPal API and hands out what was put on it."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[str]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, chain: str | bytes, name: str = "CERT-1", status: int = 200, **headers: str) -> str:
        path = f"/v1/notifications/certs/{name}"
        self.answers[path] = (status, headers, chain.encode() if isinstance(chain, str) else chain)
        return self.base_url + path


class Handler(BaseHTTPRequestHandler):
    server: Shelf

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, headers, body = self.server.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    standing = Shelf(("127.0.0.1", 0), Handler)
    standing.answers, standing.asked = {}, []
    thread = Thread(target=standing.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield standing
    standing.shutdown()
    thread.join()
    standing.server_close()


@pytest.fixture(scope="module")
def signer() -> Signer:
    return new_signer()


def source_trusting(shelf: Shelf, pool: urllib3.PoolManager, folder: Path, *signers: Signer) -> CertificateSource:
    roots = folder / "roots.pem"
    roots.write_text("".join(signer.root for signer in signers))
    return CertificateSource(pool, base_url=shelf.base_url, roots_file=str(roots))


class NoPool(urllib3.PoolManager):
    """A connection pool that fails the test on any request."""

    def request(self, *_: Any, **__: Any) -> Any:
        pytest.fail("a certificate was fetched")


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://api.paypal.com{PATH}",
        f"https://paypal.com.evil.example{PATH}",
        f"https://evilpaypal.com{PATH}",
        f"https://evil.example/paypal.com{PATH}",
        f"https://api.paypal.com@evil.example{PATH}",
        f"https://evil.example#@api.paypal.com{PATH}",
        f"https://evil.example?api.paypal.com{PATH}",
        f"https://user:password@api.paypal.com{PATH}",
        f"https://api.paypal.com:444{PATH}",
        f"https://api.paypal.com:443{PATH}",
        f"https://api.paypal.com\\@evil.example{PATH}",
        f"https://api.paypal.com/redirect?to=https://evil.example{PATH}",
        f"https://api.paypal.com{PATH}?x=1",
        f"https://api.paypal.com{PATH}#x",
        "https://api.paypal.com/v1/notifications/certs/../../../x",
        "https://api.paypal.com/v1/notifications/certs/",
        f"https://api.paypal.com{PATH}\n",
        f" https://api.paypal.com{PATH}",
        f"https://api.pаypal.com{PATH}",  # noqa: RUF001 -- a Cyrillic letter
        f"https://169.254.169.254{PATH}",
        f"https://localhost{PATH}",
        f"https://[::1]{PATH}",
        f"https://.paypal.com{PATH}",
        f"file:///etc{PATH}",
        f"HTTPS://API.PAYPAL.COM{PATH}",
    ],
)
def test_an_address_that_is_not_paypals_is_refused_and_never_asked(url: str) -> None:
    source = CertificateSource(NoPool(), base_url="https://api-m.paypal.com")
    with pytest.raises(SignatureInvalid):
        source.key(url, NOW)


@pytest.mark.parametrize("host", ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com"])
def test_an_address_of_paypals_is_asked(host: str) -> None:
    class Noted(Exception):
        pass

    class NotingPool(urllib3.PoolManager):
        def request(self, *asked: Any, **options: Any) -> Any:
            assert asked == ("GET", f"https://{host}{PATH}")
            assert options["redirect"] is False
            assert options["retries"] is False
            raise Noted

    with pytest.raises(Noted):
        CertificateSource(NotingPool(), base_url="https://api-m.paypal.com").key(f"https://{host}{PATH}", NOW)


class TestChain:
    def test_a_certificate_under_a_trusted_root_is_believed_and_fetched_once(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        source, url = source_trusting(shelf, pool, tmp_path, signer), shelf.put(signer.chain)
        assert source.key(url, NOW) is source.key(url, NOW + timedelta(hours=23))
        assert len(shelf.asked) == 1
        source.key(url, NOW + timedelta(hours=25))
        assert len(shelf.asked) == 2

    def test_a_root_nobody_trusts_makes_nobody_believe(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        url = shelf.put(signer.chain)
        with pytest.raises(SignatureInvalid):
            source_trusting(shelf, pool, tmp_path, new_signer()).key(url, NOW)
        with pytest.raises(SignatureInvalid):
            CertificateSource(pool, base_url=shelf.base_url).key(url, NOW)

    @pytest.mark.parametrize(
        "common_name",
        ["evil.example", "paypal.com", "messageverificationcerts.paypal.com.evil.example", "evilpaypal.com"],
    )
    def test_a_certificate_in_another_name_is_refused(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, common_name: str
    ) -> None:
        foreign = new_signer(common_name=common_name)
        with pytest.raises(SignatureInvalid):
            source_trusting(shelf, pool, tmp_path, foreign).key(shelf.put(foreign.chain), NOW)

    def test_a_certificate_whose_time_is_over_is_refused(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path
    ) -> None:
        expired = new_signer(ends_at=NOW - timedelta(hours=1))
        source = source_trusting(shelf, pool, tmp_path, expired)
        with pytest.raises(SignatureInvalid):
            source.key(shelf.put(expired.chain), NOW)

    def test_a_known_certificate_is_not_believed_beyond_its_end_nor_before_its_beginning(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path
    ) -> None:
        short = new_signer(ends_at=NOW + timedelta(hours=1))
        source, url = source_trusting(shelf, pool, tmp_path, short), shelf.put(short.chain)
        source.key(url, NOW)
        for moment in (NOW + timedelta(hours=2), NOW - timedelta(days=30)):
            with pytest.raises(SignatureInvalid):
                source.key(url, moment)

    def test_a_chain_with_a_missing_or_foreign_issuer_is_refused(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        end = "-----END CERTIFICATE-----\n"
        leaf, issuer, _ = signer.chain.split(end)
        foreign_issuer = new_signer().chain.split(end)[1]
        source = source_trusting(shelf, pool, tmp_path, signer)
        chains = (leaf + end, issuer + end + leaf + end, leaf + end + foreign_issuer + end, signer.root)
        for place, chain in enumerate(chains):
            with pytest.raises(SignatureInvalid):
                source.key(shelf.put(chain, f"CERT-{place}"), NOW)

    @pytest.mark.parametrize("chain", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n" * 3, b"\x00\xff"])
    def test_what_is_no_certificate_is_refused(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer, chain: str | bytes
    ) -> None:
        with pytest.raises(SignatureInvalid):
            source_trusting(shelf, pool, tmp_path, signer).key(shelf.put(chain), NOW)


class TestFetching:
    def test_a_redirection_is_not_followed(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        elsewhere = shelf.put(signer.chain, "CERT-elsewhere")
        url = shelf.put("", "CERT-moved", status=302, Location=elsewhere)
        with pytest.raises(SignatureInvalid):
            source_trusting(shelf, pool, tmp_path, signer).key(url, NOW)
        assert shelf.asked == ["/v1/notifications/certs/CERT-moved"]

    def test_a_body_that_is_too_large_is_not_read_to_its_end(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        url = shelf.put(signer.chain + " " * BODY_MAX_BYTES)
        with pytest.raises(SignatureInvalid):
            source_trusting(shelf, pool, tmp_path, signer).key(url, NOW)

    @pytest.mark.parametrize(("status", "error"), [(404, SignatureInvalid), (503, GatewayUnreachable)])
    def test_what_is_not_there_is_refused_and_what_is_not_there_now_comes_again(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer, status: int,
        error: type[Exception],
    ) -> None:  # fmt: skip
        url = shelf.put(signer.chain, status=status)
        with pytest.raises(error):
            source_trusting(shelf, pool, tmp_path, signer).key(url, NOW)

    def test_a_silent_place_is_left_soon(self, pool: urllib3.PoolManager, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paypal_certificates, "FETCH_TIMEOUT_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            base_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(GatewayUnreachable):
                CertificateSource(pool, base_url=base_url).key(base_url + PATH, NOW)

    def test_no_more_than_a_few_certificates_are_kept(
        self, shelf: Shelf, pool: urllib3.PoolManager, tmp_path: Path, signer: Signer
    ) -> None:
        source = source_trusting(shelf, pool, tmp_path, signer)
        urls = [shelf.put(signer.chain, f"CERT-{number}") for number in range(CACHED_MAX + 1)]
        for url in urls:
            source.key(url, NOW)
        shelf.asked.clear()
        source.key(urls[-1], NOW)
        assert shelf.asked == []
        source.key(urls[0], NOW)
        assert len(shelf.asked) == 1


class TestThroughTheWholeRoad:
    @pytest.mark.parametrize(
        "certificate", [{"expired": True}, {"common_name": "evil.example"}, {"common_name": "xpaypal.com"}]
    )
    def test_a_webhook_signed_with_a_certificate_that_is_no_good_is_refused(
        self, paypal_stage: PayPalStage, certificate: dict[str, Any]
    ) -> None:
        paypal_stage.control("POST", "/certificates", certificate)
        paypal_stage.trust_roots()
        try:
            paypal_stage.gateway.authorize(paypal_stage.request(), deadline_seconds=5)
            arrived = paypal_stage.receiver.wait_until(bool)
        finally:
            paypal_stage.control("POST", "/certificates", {})
        with pytest.raises(SignatureInvalid):
            paypal_stage.parse(arrived)

    def test_a_new_certificate_of_paypals_is_taken_up_by_itself(self, paypal_stage: PayPalStage) -> None:
        paypal_stage.control("POST", "/certificates", {})
        paypal_stage.trust_roots()
        paypal_stage.gateway.authorize(paypal_stage.request(), deadline_seconds=5)
        paypal_stage.events_until("capture_succeeded")


def test_the_function_that_verifies_carries_what_is_tested_with() -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / lock).read_text(), re.MULTILINE))

    carried, tested = pins("functions/payment_webhooks/requirements.txt"), pins("requirements-dev.txt")
    assert "cryptography" in carried
    assert carried.items() <= tested.items(), "run `make lock`"
