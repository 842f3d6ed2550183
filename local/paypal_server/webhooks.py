"""Deliveries as PayPal makes them (https://developer.paypal.com/api/rest/webhooks/rest/): signed over id, time, webhook
id and the body's CRC-32, with RSA and SHA-256. The address of the certificate goes along."""

import uuid
import zlib
from base64 import b64encode
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from local.gateway_server.courier import Post
from local.gateway_server.model import Endpoint
from local.paypal_server.ledger import PayPalLedger
from local.paypal_server.model import Signer


class PayPalPost(Post):
    """Signs with the newest certificate. The webhook's id is the endpoint's."""

    def __init__(self, ledger: PayPalLedger) -> None:
        self._ledger = ledger
        self._keys: dict[str, rsa.RSAPrivateKey] = {}

    def headers(self, endpoint: Endpoint, body: bytes) -> dict[str, str]:
        """Return the signature, what it is checked with, and how PayPal identifies itself."""
        signer = list(self._ledger.signers.values())[-1]
        transmission_id = str(uuid.uuid4())
        sent_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        signed = f"{transmission_id}|{sent_at}|{endpoint.id}|{zlib.crc32(body)}".encode()
        signature = self._key(signer).sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Accept": "*/*",
            "User-Agent": "PayPal/AUHD-214.0-58652135",
            "PAYPAL-TRANSMISSION-ID": transmission_id,
            "PAYPAL-TRANSMISSION-TIME": sent_at,
            "PAYPAL-TRANSMISSION-SIG": b64encode(signature).decode(),
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-AUTH-VERSION": "v2",
            "PAYPAL-CERT-URL": certificate_url(signer),
        }

    def _key(self, signer: Signer) -> rsa.RSAPrivateKey:
        key = self._keys.get(signer.id)
        if key is None:
            loaded = serialization.load_pem_private_key(signer.private_key.encode(), None)
            if not isinstance(loaded, rsa.RSAPrivateKey):
                raise TypeError("webhooks are signed with RSA")
            key = self._keys[signer.id] = loaded
        return key


def certificate_url(signer: Signer) -> str:
    """Return the address from which a signer's certificate and its issuer's can be fetched."""
    return f"{signer.base_url}/v1/notifications/certs/{signer.id}"
