"""The certificates with which PayPal signs its webhooks: fetched only from PayPal, trusted only with a valid chain.

Source: https://developer.paypal.com/api/rest/webhooks/rest/ (self verification) and RFC 5280, whose rules
``cryptography`` applies. That package is imported on first use, since only the function that receives webhooks ships
it.
"""

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

from holdfast.gateways.port import GatewayUnreachable
from holdfast.values.errors import SignatureInvalid

if TYPE_CHECKING:
    import urllib3
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate
    from cryptography.x509.verification import Store

COMMON_NAME_SUFFIX: Final = ".paypal.com"
CACHED_MAX: Final = 16
CACHED_SECONDS: Final = 24 * 3600
"""How long a verified certificate is trusted before its chain is verified again; never beyond its own expiry."""
BODY_MAX_BYTES: Final = 32 * 1024
FETCH_TIMEOUT_SECONDS: Final = 3.0
_CONNECT_TIMEOUT_SECONDS: Final = 2.0
_CHAIN_MAX: Final = 8
_KEY_MIN_BITS: Final = 2048

_PATH: Final = r"/v1/notifications/certs/[A-Za-z0-9_-]{1,128}"
# Matches the whole URL and allows nothing ambiguous: no user, no port, no query, no dot in the path.
_PAYPAL_URL: Final = re.compile(r"https://(?:[a-z0-9-]{1,63}\.){1,4}paypal\.com" + _PATH, re.ASCII)


@dataclass(frozen=True, slots=True)
class _Verified:
    key: "RSAPublicKey"
    verified_at: datetime
    valid_until: datetime

    def holds_at(self, now: datetime) -> bool:
        return self.verified_at <= now < min(self.valid_until, self.verified_at + timedelta(seconds=CACHED_SECONDS))


class CertificateSource:
    """A cache of at most ``CACHED_MAX`` verified keys, by the URL that PayPal gives in ``PAYPAL-CERT-URL``.

    ``roots_file`` contains the trusted roots (PEM); without it the operating system's roots are trusted. ``base_url``
    is the URL of the PayPal API. Certificate URLs there are accepted as PayPal's too, which matters only where a local
    server stands in for PayPal.
    """

    def __init__(self, pool: "urllib3.PoolManager", *, base_url: str, roots_file: str | None = None) -> None:
        self._pool = pool
        self._own_url = re.compile(re.escape(base_url.rstrip("/")) + _PATH, re.ASCII)
        self._roots_file = roots_file or None
        self._roots: list[bytes] | None = None
        self._verified: dict[str, _Verified] = {}
        self._lock = Lock()

    def key(self, url: str, now: datetime) -> "RSAPublicKey":
        """Return the key of the certificate at ``url``.

        Raises ``SignatureInvalid`` for a URL or a certificate that is not PayPal's, and ``GatewayUnreachable`` when the
        certificate cannot be fetched now, in which case PayPal sends the webhook again.
        """
        if not (_PAYPAL_URL.fullmatch(url) or self._own_url.fullmatch(url)):
            raise SignatureInvalid("The webhook names a certificate that does not lie with PayPal.")
        with self._lock:
            known = self._verified.get(url)
        if known is not None and known.holds_at(now):
            return known.key
        verified = self._verify(self._fetch(url), now)
        with self._lock:
            self._verified.pop(url, None)
            self._verified[url] = verified
            while len(self._verified) > CACHED_MAX:
                del self._verified[next(iter(self._verified))]
        return verified.key

    def _fetch(self, url: str) -> bytes:
        import urllib3  # noqa: PLC0415 -- most webhooks find the certificate in the cache

        timeout = urllib3.Timeout(total=FETCH_TIMEOUT_SECONDS, connect=_CONNECT_TIMEOUT_SECONDS)
        headers = {"Accept-Encoding": "identity", "User-Agent": "Holdfast"}
        try:
            response = self._pool.request(
                "GET", url, headers=headers, timeout=timeout, retries=False, redirect=False, preload_content=False
            )
            try:
                body = response.read(BODY_MAX_BYTES + 1, decode_content=False)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise GatewayUnreachable(f"PayPal's certificate cannot be fetched: {type(error).__name__}.") from error
        if response.status == 429 or response.status >= 500:
            raise GatewayUnreachable(f"PayPal's certificate cannot be fetched: {response.status}.")
        if response.status != 200 or len(body) > BODY_MAX_BYTES:
            raise SignatureInvalid("There is no certificate where the webhook says.")
        return body

    def _verify(self, pem: bytes, now: datetime) -> _Verified:
        """Return the key of the first certificate if the chain to a trusted root is valid for its name at this time.

        Raises ``SignatureInvalid`` otherwise.
        """
        from cryptography import x509  # noqa: PLC0415 -- see the module
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
        from cryptography.x509.verification import PolicyBuilder, VerificationError  # noqa: PLC0415

        try:
            chain = x509.load_pem_x509_certificates(pem)[:_CHAIN_MAX]
            certificate, *others = chain
            name = _common_name(certificate)
            policy = PolicyBuilder().store(self._trusted(chain)).time(now)
            policy.build_server_verifier(x509.DNSName(name)).verify(certificate, others)
            key = certificate.public_key()
        except (ValueError, x509.InvalidVersion, VerificationError) as error:
            raise SignatureInvalid("The webhook's certificate is not one of PayPal's.") from error
        if not isinstance(key, RSAPublicKey) or key.key_size < _KEY_MIN_BITS:
            raise SignatureInvalid("The webhook's certificate has a key of another kind.")
        return _Verified(key, now, certificate.not_valid_after_utc)

    def _trusted(self, chain: Sequence["Certificate"]) -> "Store":
        """Return the trusted roots in which the chain could end. Raises ``ValueError`` if there is none."""
        from cryptography import x509  # noqa: PLC0415 -- see the module
        from cryptography.x509.verification import Store  # noqa: PLC0415

        if self._roots is None:
            self._roots = ssl.create_default_context(cafile=self._roots_file).get_ca_certs(binary_form=True)
        # A system has many roots, and a few of the old ones are malformed, so only the possible issuers are parsed.
        issuers = {certificate.issuer.public_bytes() for certificate in chain}
        candidates = [root for root in self._roots if any(issuer in root for issuer in issuers)]
        return Store([x509.load_der_x509_certificate(root) for root in candidates])


def _common_name(certificate: "Certificate") -> str:
    from cryptography.x509 import NameOID  # noqa: PLC0415 -- see the module

    names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not names[0].endswith(COMMON_NAME_SUFFIX):
        raise ValueError("the certificate is in another name")
    return names[0]
