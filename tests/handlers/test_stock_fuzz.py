"""Whatever a manager sends about stock and warehouses, the answer is documented and a refusal writes nothing."""

import copy
import json
from typing import Any, Final
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.handlers.door import Door
from tests.handlers.test_access import BODIES_OF_STOCK, ROUTE_OF
from tests.handlers.test_fuzz import ANYTHING, FUZZ, MANAGERS, REFUSED, TEXTS, places

SOMEWHERE: Final = {
    name: str(UUID(int=9))
    for name in ("warehouse_id", "variant_id", "transfer_id", "override_id", "import_id", "shipment_id")
}


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a route and a valid body for it of which one or two parts were replaced or removed."""
    operation = draw(st.sampled_from(sorted(BODIES_OF_STOCK)))
    body = copy.deepcopy(BODIES_OF_STOCK[operation])
    for _ in range(draw(st.integers(1, 2))):
        found = places(body)
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        parent = body
        for name in way:
            parent = parent[name]
        if draw(st.booleans()):
            parent[last] = draw(ANYTHING)
        else:
            del parent[last]
    return ROUTE_OF[operation], body


def ask(door: Door, route: str, body: Any) -> int:
    who = MANAGERS.setdefault(door.house.organization_id, door.staff("manager"))
    reply = door.ask(route, body, who=who, **{name: id_ for name, id_ in SOMEWHERE.items() if f"{{{name}}}" in route})
    assert reply.status < 500, reply.raw
    return reply.status


def moved(door: Door) -> int:
    return int(door.house.value("SELECT count(*) FROM inventory.stock_movements"))


@FUZZ
@given(spoiled())
def test_a_change_of_anything(shared_door: Door, sent: tuple[str, Any]) -> None:
    before = moved(shared_door)
    if ask(shared_door, sent[0], json.dumps(sent[1])) >= REFUSED:
        assert moved(shared_door) == before


@FUZZ
@given(st.text(max_size=200) | ANYTHING.map(json.dumps))
def test_a_body_of_anything(shared_door: Door, text: str) -> None:
    for operation in BODIES_OF_STOCK:
        assert ask(shared_door, ROUTE_OF[operation], text) >= REFUSED


@FUZZ
@given(
    query=st.dictionaries(
        st.sampled_from(["after", "before", "limit", "sku", "product_id", "variant_id", "status"]), st.text(max_size=40)
    ),
    reference=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=70)
    | TEXTS,
)
def test_queries_and_paths_of_anything(shared_door: Door, query: dict[str, str], reference: str) -> None:
    who = MANAGERS.setdefault(shared_door.house.organization_id, shared_door.staff("manager"))
    for operation in ("list_stock_levels", "list_low_stock", "list_stock_movements", "show_availability"):
        route = next(key for name, key in ROUTE_OF.items() if name == operation)
        path = {name: reference for name in ("warehouse_id", "variant_id") if f"{{{name}}}" in route}
        assert shared_door.ask(route, who=who, query=query, **path).status in (200, 404, 422)
