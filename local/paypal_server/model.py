"""What the server remembers of PayPal's objects. Times are Unix seconds, amounts are whole units (see ``amounts``)."""

import string
from dataclasses import dataclass, field
from typing import Final

from local.gateway_server.model import random_text

_ALPHABET: Final = string.ascii_uppercase + string.digits


def paypal_id() -> str:
    """Return an id in PayPal's format: 17 capitals and digits."""
    return random_text(17, _ALPHABET)


@dataclass(slots=True)
class Order:
    """A checkout order with its single purchase unit."""

    id: str
    account: str
    intent: str
    amount: int
    currency: str
    created: int
    status: str
    updated: int = 0
    reference_id: str = "default"
    custom_id: str | None = None
    invoice_id: str | None = None
    instrument: str | None = None
    """What it is paid with. None until the buyer has chosen."""
    source: str = "paypal"
    """The kind of payment source it was created for."""
    return_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """``custom_id`` and ``invoice_id`` again, for the control surface."""
    authorizations: list[str] = field(default_factory=list)
    captures: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    decline_code: str | None = None
    """Set on command: the bank's refusal, whatever the instrument is."""
    refund_fate: str | None = None
    """Set on command: the fate of its refunds, whatever the instrument is."""
    store: bool = False
    """Whether what it is paid with goes into the vault."""
    customer: str | None = None
    """The customer whose vault it is."""
    vaulted: str | None = None
    """The id under which it is kept."""


@dataclass(slots=True)
class PaymentToken:
    """A payment source that a customer keeps in the vault."""

    id: str
    account: str
    customer: str
    instrument: str


@dataclass(slots=True)
class Authorization:
    """Money held for 29 days."""

    id: str
    account: str
    order: str
    amount: int
    currency: str
    created: int
    updated: int
    expires: int
    status: str
    custom_id: str | None = None
    invoice_id: str | None = None
    processor_code: str | None = None
    renews: str | None = None
    """The authorization that this one renews."""


@dataclass(slots=True)
class Capture:
    """Money that was taken, or that was to be."""

    id: str
    account: str
    order: str
    authorization: str | None
    amount: int
    currency: str
    created: int
    updated: int
    status: str
    final: bool
    custom_id: str | None = None
    invoice_id: str | None = None
    processor_code: str | None = None
    refunded: int = 0


@dataclass(slots=True)
class Refund:
    """Money on its way back."""

    id: str
    account: str
    order: str
    capture: str
    amount: int
    currency: str
    created: int
    updated: int
    status: str
    custom_id: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Signer:
    """A certificate to sign webhooks with, its key and its chain, all PEM."""

    id: str
    private_key: str
    chain: str
    root: str
    base_url: str = ""
    """The address at which the caller reaches this server, and therefore the certificate."""
