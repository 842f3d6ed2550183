"""The port for signing guests' tokens. Customers and staff bring tokens of the same issuer."""

from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

GUEST_SUBJECT_PREFIX: Final = "guest:"


@dataclass(frozen=True, slots=True)
class GuestToken:
    """A signed token that lets a guest check out and see that guest's orders for ``expires_in_seconds``."""

    token: str
    expires_in_seconds: int


class GuestTokens(Protocol):
    """A signer of guest tokens."""

    def issue(self, *, organization_id: UUID, guest_id: UUID) -> GuestToken:
        """Return a token for a new guest. Raises Transient when the issuer does not answer."""
        ...
