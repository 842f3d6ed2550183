"""The certificates that this server signs its webhooks with: a root, an intermediate and a leaf, created here and
served like PayPal's. The leaf is in PayPal's name, so a receiver has to be told to trust the root."""

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.gateway_server.model import random_text
from local.paypal_server.model import Signer

COMMON_NAME: Final = "messageverificationcerts.paypal.com"
_LIFETIME: Final = timedelta(days=365)
_ALPHABET: Final = "0123456789abcdef"

IssuerKey = ec.EllipticCurvePrivateKey


def new_signer(*, common_name: str = COMMON_NAME, ends_at: datetime | None = None) -> Signer:
    """Create a leaf under an intermediate under a root, all new.

    ``ends_at`` is the leaf's expiry, which may lie in the past.
    """
    now = datetime.now(UTC)
    ends_at = ends_at or now + _LIFETIME
    begins_at = min(now, ends_at) - timedelta(days=1)
    root_key, issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, issuer_name = _name("Local PayPal root"), _name("Local PayPal issuer")
    leaf_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    authority_ends_at = now + 2 * _LIFETIME
    root = _authority(root_name, root_key, root_name, root_key, begins_at, authority_ends_at)
    issuer = _authority(issuer_name, issuer_key, root_name, root_key, begins_at, authority_ends_at)
    leaf = (
        _builder(_name(common_name), leaf_key.public_key(), issuer_name, issuer_key, begins_at, ends_at)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    private_key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    parts = [random_text(8, _ALPHABET) for _ in range(3)]
    return Signer("CERT-" + "-".join(parts), private_key.decode(), _pem(leaf) + _pem(issuer), _pem(root))


def _name(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A PayPal on this machine")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: IssuerKey,
    begins_at: datetime,
    ends_at: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _authority(
    subject: x509.Name,
    key: IssuerKey,
    issuer: x509.Name,
    issuer_key: IssuerKey,
    begins_at: datetime,
    ends_at: datetime,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder(subject, key.public_key(), issuer, issuer_key, begins_at, ends_at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
