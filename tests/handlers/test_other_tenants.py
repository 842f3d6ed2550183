"""Another shop asks every documented route about what is ours: it finds nothing, writes nothing and learns nothing.

The cases come from the OpenAPI document and the sample of each route; a route without a sample fails.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from holdfast.runtime import use
from holdfast.secrets.store import SecretStore
from holdfast.tenancy.access import WHO_MAY
from holdfast.values.caller import CallerKind
from holdfast.web.access import OPERATION_OF_ROUTE, PUBLIC
from local.documented import document
from local.postgres import Server
from local.testing import database
from tests.archive.scenes import archive_environment
from tests.furnished import THING_OF_PARAMETER, Pantry, furnish
from tests.fuzz.cases import samples
from tests.handlers.door import Door, Reply
from tests.house import House

ROUTES: Final = [
    f"{method.upper()} {path}" for path, operations in document()["paths"].items() for method in operations
]
PRIVATE: Final = [route for route in ROUTES if OPERATION_OF_ROUTE[route] is not PUBLIC]
WITH_AN_ID: Final = [route for route in PRIVATE if "{" in route]
WITHOUT_AN_ID: Final = [route for route in PRIVATE if "{" not in route]
NAMED_IN_BODY: Final[Mapping[str, tuple[str, ...]]] = {
    "POST /v1/ops/stock/receipts": ("warehouse_id",),
    "POST /v1/ops/stock/adjustments": ("warehouse_id",),
    "POST /v1/ops/stock/safety-stock": ("warehouse_id", "variant_id"),
    "POST /v1/ops/transfers": ("variant_id", "from_warehouse_id", "to_warehouse_id"),
    "POST /v1/ops/capacity-overrides": ("warehouse_id",),
    "POST /v1/ops/dead-letters/replay": ("ids",),
    "PUT /v1/ops/error-classes/order": ("ids",),
    "POST /v1/checkout": ("items", "payment"),
    "POST /v1/checkout/quote": ("items",),
    "POST /v1/ops/payments/refold": ("payment_id",),
}
"""The members of bodies that name something of a shop. Other bodies hold only SKUs and texts of the caller's shop."""


class Street:
    """Our furnished shop, and the shop next door, which sells the same and has nothing else."""

    def __init__(self, ours: House, theirs: House) -> None:
        self.door = Door(ours)
        self.pantry: Pantry = furnish(ours)
        theirs.add_variant("TEE-BLK-M")
        self.theirs = theirs
        self.members = {shop: self.door.staff("owner", organization_id=shop.organization_id) for shop in (ours, theirs)}
        self.ids = self.pantry.ids()

    def caller(self, route: str, shop: House) -> dict[str, str]:
        """Return who may call the route at the shop: its owner where staff may, otherwise a shopper."""
        operation = OPERATION_OF_ROUTE[route]
        assert operation is not None
        if WHO_MAY[operation].staff is not None:
            return self.members[shop]
        assert CallerKind.CUSTOMER in WHO_MAY[operation].shoppers
        return self.door.customer("ada", shop.organization_id)

    def thing(self, route: str) -> dict[str, Any]:
        """Return something of ours that the path can name."""
        parameters = re.findall(r"{(\w+)}", route)
        kind = "level" if "variant_id" in parameters else THING_OF_PARAMETER[parameters[-1]]
        kind = "archived_order" if "/archive/orders/" in route else kind
        found = self.pantry.all(kind)
        return found[-1] if route.startswith("DELETE") else found[0]

    def ask(self, route: str, who: Mapping[str, str], thing: Mapping[str, Any], **members: Any) -> Reply:
        """Send the route's sample about the thing, with ``members`` put into its body."""
        body: Any = None
        headers, query = {}, {}
        if route in samples():
            sample = samples()[route][0]
            body, query = named(sample.body, thing), named(dict(sample.query), thing)
            body = body | members if members else body
            headers = {name: value for name, value in sample.headers.items() if name == "content-type"}
        path = {name: str(thing[name]) for name in re.findall(r"{(\w+)}", route)}
        return self.door.ask(route, body, who=who, headers=headers, query=query, **path)


def named(value: Any, thing: Mapping[str, Any]) -> Any:
    """Return a copy of the value in which members that are named like one of the thing's have the thing's value."""
    if isinstance(value, dict):
        return {name: thing.get(name, named(member, thing)) for name, member in value.items()}
    return [named(member, thing) for member in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def street(postgres: Server, migrated: str, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[Street]:
    with (
        pytest.MonkeyPatch.context() as patch,
        database(postgres, migrated) as owner,
        House(owner, stripe_url, secret_store, archive_environment()) as ours,
        House(owner, stripe_url, secret_store, archive_environment()) as theirs,
    ):
        patch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:9")
        yield Street(ours, theirs)
        use(None)


@pytest.mark.parametrize("route", WITH_AN_ID)
def test_what_is_ours_is_not_there_for_another_shop(street: Street, route: str) -> None:
    thing = street.thing(route)
    before = street.door.rows_of_all_tables()
    theirs = street.ask(route, street.caller(route, street.theirs), thing)
    assert theirs.status == 404, theirs.raw
    assert street.door.rows_of_all_tables() == before


@pytest.mark.parametrize("route", WITH_AN_ID)
def test_and_it_is_there_for_us_so_that_the_refusal_proves_something(street: Street, route: str) -> None:
    ours = street.ask(route, street.caller(route, street.door.house), street.thing(route))
    assert ours.status not in (401, 403, 404, 422), ours.raw


@pytest.mark.parametrize("route", WITHOUT_AN_ID)
def test_what_names_nothing_tells_another_shop_nothing_of_ours(street: Street, route: str) -> None:
    reply = street.ask(route, street.caller(route, street.theirs), {})
    assert not [found for found in street.ids if found in reply.raw]


@pytest.mark.parametrize("route", sorted(NAMED_IN_BODY))
def test_what_a_body_names_of_ours_is_not_there_for_another_shop(street: Street, route: str) -> None:
    thing = street.pantry.all("order")[0] | street.pantry.all("level")[0] | street.pantry.all("method")[0]
    kind = "error_class" if "error-classes" in route else "dead_letter"
    thing["ids"] = [row["ids"] for row in street.pantry.all(kind)]
    thing["items"] = [{"variant_id": thing["variant_id"], "quantity": 1}]
    thing["payment"] = {"payment_method_id": thing["payment_method_id"]}
    who = street.caller(route, street.theirs)
    before = street.door.rows_of_all_tables()
    reply = street.ask(route, who, {}, **{name: thing[name] for name in NAMED_IN_BODY[route]})
    if route == "POST /v1/ops/dead-letters/replay":
        assert {result["code"] for result in reply.body["results"]} == {"not_found"}
    elif route == "POST /v1/ops/payments/refold":
        assert reply.body == {"checked": 0, "differences": [], "next_after": None}
    else:
        assert reply.status in (404, 409, 422), reply.raw
    assert street.door.rows_of_all_tables() == before


def test_every_body_that_names_an_id_is_asked_here() -> None:
    """This concerns routes whose path has no id; those with one are asked above, by their path."""
    components = document()["components"]["schemas"]
    naming = set()
    for route in WITHOUT_AN_ID:
        method, path = route.split(" ")
        body = document()["paths"][path][method.lower()].get("requestBody")
        if body is None:
            continue
        names = set(_members(body, components, set()))
        if {name for name in names if name == "ids" or (name.endswith("_id") and name != "organization_id")}:
            naming.add(route)
    assert naming <= set(NAMED_IN_BODY)


def _members(value: Any, components: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref", "").rpartition("/")[2]
        if reference and reference not in seen:
            seen.add(reference)
            yield from _members(components[reference], components, seen)
        yield from value.get("properties", {})
        for member in value.values():
            yield from _members(member, components, seen)
    elif isinstance(value, list):
        for member in value:
            yield from _members(member, components, seen)
