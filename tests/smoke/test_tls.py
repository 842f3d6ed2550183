"""The smoke test trusts a certificate no more than a browser would."""

import datetime
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smoke.checks import _tls
from smoke.report import Failed
from smoke.system import Options, System


def certificate(folder: Path, *, days: int) -> Path:
    """Write a certificate for 127.0.0.1 and its key into one file, and return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = folder / "certificate.pem"
    path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()) + made.public_bytes(encoding))
    return path


def seen_of(path: Path) -> str:
    """Return what the check says about a server with this certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        return _tls(System(Options(url=f"https://127.0.0.1:{server.server_port}")))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_trusted_certificate_is_told_with_its_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path, days=90)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert seen_of(path) == "TLSv1.3, 90 days left"


def test_one_that_nobody_vouches_for_fails(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        seen_of(certificate(tmp_path, days=90))


def test_one_that_ends_soon_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path, days=5)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(Failed, match="5 days"):
        seen_of(path)
