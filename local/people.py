"""The demo shop's people, and the claims of their tokens."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STAFF = ("owner", "admin", "manager", "member", "viewer")
ROLES = ("customer", "guest", *STAFF)


@dataclass(frozen=True, slots=True)
class Shop:
    """What the seed created, as far as the local system needs to know it."""

    organization_id: str
    publishable_key: str
    endpoint_key: str
    sku: str
    subjects: Mapping[str, str]
    """The token subject of `customer` and of each staff role."""
    customer_email: str

    @classmethod
    def of(cls, seeded: Any) -> Shop:
        """Reads the attributes of the same names from a seed's result."""
        return cls(
            organization_id=str(seeded.organization_id),
            publishable_key=str(seeded.publishable_key),
            endpoint_key=str(seeded.endpoint_key),
            sku=str(seeded.sku),
            subjects={str(role): str(subject) for role, subject in seeded.subjects.items()},
            customer_email=str(seeded.customer_email),
        )

    def claims(self, role: str, *, subject: str | None = None, organization_id: str | None = None) -> dict[str, str]:
        """Return the claims of a person with a role (one of ROLES) in an organization.

        Raises ValueError for another role.
        """
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role: choose one of {', '.join(ROLES)}")
        kind = "staff" if role in STAFF else role
        claims = {
            "sub": subject or (f"guest:{uuid.uuid4()}" if role == "guest" else self.subjects[role]),
            "custom:organization_id": organization_id or self.organization_id,
            "custom:kind": kind,
        }
        if role == "customer" and subject is None:
            claims["email"] = self.customer_email
        return claims
