"""The roles of staff: five, each of which may do what the ones below it may."""

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
    """Return whether ``held`` is ``needed`` or a role above it."""
    return _ORDER.index(held) >= _ORDER.index(needed)
