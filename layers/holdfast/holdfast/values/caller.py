"""Who is asking, as vouched for by the token's issuer."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class CallerKind(StrEnum):
    """A registered customer, a guest with a session token, or a member of the organization's staff."""

    CUSTOMER = "customer"
    GUEST = "guest"
    STAFF = "staff"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. ``guest_id`` is the customer id that a guest's token carries; others have none."""

    organization_id: UUID
    kind: CallerKind
    subject: str
    email: str | None = None
    guest_id: UUID | None = None

    @property
    def actor(self) -> str:
        """How the caller is named in histories and the audit log."""
        return f"{self.kind}:{self.subject}"[:200]
