"""What a member of staff may do: five roles, each able to do what the ones below it can."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """A member's role in one organization."""

    OWNER = "owner"
    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"
    VIEWER = "viewer"


_ORDER: Final = (Role.VIEWER, Role.MEMBER, Role.MANAGER, Role.ADMIN, Role.OWNER)


def allows(held: Role, needed: Role) -> bool:
    """Whether ``held`` is ``needed`` or above it."""
    return _ORDER.index(held) >= _ORDER.index(needed)
