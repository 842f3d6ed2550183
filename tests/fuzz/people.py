"""Who sends requests: everybody in the access table, strangers of another shop, and people whose token is worthless."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from holdfast.tenancy.access import WHO_MAY
from holdfast.tenancy.roles import Role, allows
from holdfast.values.caller import CallerKind
from holdfast.web.access import OPERATION_OF_ROUTE, PUBLIC
from local.issuer import Issuer
from tests.handlers.door import Door
from tests.house import House
from tests.identity.issuer_server import IssuerServer


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an Authorization header of their own."""

    name: str
    authorization: str | None
    role: str | None = None
    """A kind of shopper or a role of the staff. ``None``: their token is worthless."""
    is_stranger: bool = False
    """Whether they belong to another shop."""
    is_let_through: bool = True
    """Whether the gateway accepts their token."""

    def may(self, route: str) -> bool:
        """Whether the access table lets them do this in their shop."""
        operation = OPERATION_OF_ROUTE[route]
        if operation is PUBLIC:
            return True
        access = WHO_MAY[operation]
        if self.role is None:
            return False
        if self.role in set(CallerKind):
            return CallerKind(self.role) in access.shoppers
        return access.staff is not None and allows(Role(self.role), access.staff)


def everybody(ours: House, theirs: House, server: IssuerServer, folder: Path) -> list[Person]:
    """Return all of them, in a fixed order."""
    issuer, now = server.issuer, datetime.now(UTC)
    here, there = Door(ours), Door(theirs)
    shopper = here.customer("ada")

    def bearer(claims: Mapping[str, Any], by: Issuer = issuer, at: datetime = now) -> str:
        return f"Bearer {by.sign(claims, now=at, lifetime_seconds=3600 * 4)}"

    stopped = {
        "nobody": None,
        "a token that is none": "Bearer not.a.token",
        "another scheme": "Basic YWRhOmxvdmVsYWNl",
        "an expired token": bearer(shopper, at=now - timedelta(days=2)),
        "another issuer": bearer(here.staff("admin"), Issuer(folder, "https://issuer.example")),
        "another key": bearer(here.staff("admin"), Issuer(folder / "other", server.url)),
    }
    worthless = {
        "nobody's customer": bearer({"sub": "ada"}),
        "a root": bearer(shopper | {"custom:kind": "root"}),
        "staff of nowhere": bearer(here.staff(None)),
    }
    ours_by_role = {role.value: here.staff(role) for role in Role} | {"customer": shopper, "guest": here.guest()}
    theirs_by_role = {"customer": there.customer("ada"), "guest": there.guest(), "owner": there.staff("owner")}
    return [
        *(Person(name, header, is_let_through=False) for name, header in stopped.items()),
        *(Person(name, header) for name, header in worthless.items()),
        *(Person(role, bearer(claims), role) for role, claims in ours_by_role.items()),
        Person("another customer", bearer(here.customer("bob")), "customer"),
        *(Person(f"their {role}", bearer(claims), role, True) for role, claims in theirs_by_role.items()),
        Person("a customer of no shop", bearer(here.customer("ada", UUID(int=7))), "customer", True),
    ]
