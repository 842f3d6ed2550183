"""Staff roles come from the organization's own records, not from the token: removing a member takes effect at once."""

from typing import Protocol
from uuid import UUID

from holdfast.tenancy.roles import Role, allows
from holdfast.values.caller import Caller
from holdfast.values.errors import Forbidden


class Reader(Protocol):
    """The part of a transaction that a lookup needs."""

    @property
    def tenant(self) -> UUID:
        """The organization."""
        ...

    def value(self, statement: str, **parameters: object) -> object:
        """The first column of the one row."""
        ...


def require_staff(transaction: Reader, caller: Caller, needed: Role) -> Role:
    """The caller's role in the organization. Raises Forbidden unless it is ``needed`` or above."""
    held = transaction.value(
        """
        SELECT m.role FROM tenancy.organization_members m JOIN tenancy.users u ON u.id = m.user_id
         WHERE m.organization_id = :organization_id AND u.auth_subject = :subject
           AND m.status = 'active' AND u.status = 'active'
        """,
        organization_id=transaction.tenant,
        subject=caller.subject,
    )
    if held is None or not allows(Role(str(held)), needed):
        raise Forbidden(f"this needs the role {needed} in the organization")
    return Role(str(held))
