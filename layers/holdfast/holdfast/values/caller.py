"""Who is asking, as vouched for by the token's issuer."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

_PLAIN_SUBJECT: Final = re.compile(r"[A-Za-z0-9:_.@|-]{1,180}")


class CallerKind(StrEnum):
    """A registered customer, a guest with a session token, or a member of the organization's staff."""

    CUSTOMER = "customer"
    GUEST = "guest"
    STAFF = "staff"


_SHOPPERS: Final = frozenset({CallerKind.CUSTOMER, CallerKind.GUEST})


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
        """How histories, claims and the audit log name the caller: one name per caller, in plain characters.

        A subject with other characters, or a very long one, is replaced by its SHA-256.
        """
        if _PLAIN_SUBJECT.fullmatch(self.subject):
            return f"{self.kind}:{self.subject}"
        return f"{self.kind}:sha256-{hashlib.sha256(self.subject.encode()).hexdigest()}"


def without_shopper(actor: str) -> str:
    """An actor as it is kept where erasure does not come: of a shopper the kind alone, anybody else as they are."""
    kind = actor.partition(":")[0]
    return kind if kind in _SHOPPERS else actor
