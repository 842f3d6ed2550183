"""What the server remembers of PayPal's. Times are Unix seconds, amounts whole units (see ``amounts``)."""

import string
from dataclasses import dataclass, field
from typing import Final

from local.gateway_server.model import random_text

_ALPHABET: Final = string.ascii_uppercase + string.digits


def paypal_id() -> str:
    """An id in PayPal's form: 17 capitals and digits."""
    return random_text(17, _ALPHABET)


@dataclass(slots=True)
class Order:
    """A checkout order with its one purchase unit."""

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
    """What it is paid with; None until the buyer chose."""
    source: str = "paypal"
    """The kind of payment source it was made for."""
    return_url: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    """``custom_id`` and ``invoice_id`` again, for the control surface."""
    authorizations: list[str] = field(default_factory=list)
    captures: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    decline_code: str | None = None
    """Set on command: what the bank will say whatever the instrument is."""
    refund_fate: str | None = None
    """Set on command: what becomes of its refunds whatever the instrument is."""
    store: bool = False
    """Whether what it is paid with goes into the vault."""
    customer: str | None = None
    """Whose vault."""
    vaulted: str | None = None
    """Under which id it is kept."""


@dataclass(slots=True)
class PaymentToken:
    """What a customer keeps in the vault."""

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
    """The authorization this one stands for anew."""


@dataclass(slots=True)
class Capture:
    """Money taken, or not."""

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
    """A certificate webhooks are signed with, its key and its chain, all PEM."""

    id: str
    private_key: str
    chain: str
    root: str
    base_url: str = ""
    """Where the caller reaches this server, and so the certificate."""
