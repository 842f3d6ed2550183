"""Whatever is sent, the answer is documented and not a 5xx, and a refusal writes nothing.

The bodies are a valid one with a few parts replaced by anything that JSON can hold. ``Door`` checks every answer
against the OpenAPI document.
"""

import copy
import json
import re
from functools import cache
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handlers.door import Door, checkout_body

REFUSED: Final = 400
TEXTS: Final = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(
    ["", " ", "\x00", "\ud800", "null", "0", "-1", "1e999", "TEE", "US", "stripe", "pm_card_visa", "ada@example.com"]
)
NUMBERS: Final = (
    st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 10**30, 1.0, -0.0, 1e308, 4242424242424242])
)
ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
BODY: Final = checkout_body(
    1, email="ada@example.com", notes="n", shipping_preference="economy", allow_capacity_overflow=True
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every part of a document."""
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        found += places(member, (*path, name))
    return found


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid body of which one to three parts were removed, replaced or added."""
    body = copy.deepcopy(BODY)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(body)))
        parent = body
        for name in path[:-1]:
            parent = parent[name]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                parent[path[-1]] = draw(ANYTHING)
            case "remove":
                del parent[path[-1]]
            case _ if isinstance(parent, dict):
                parent[draw(TEXTS)] = draw(ANYTHING)
        if not places(body):
            break
    return body


MANAGERS: Final[dict[UUID, dict[str, str]]] = {}
FUZZ: Final = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(body=bodies())
def test_a_checkout_of_anything(shared_door: Door, body: dict[str, Any]) -> None:
    before = orders(shared_door)
    reply = shared_door.ask("POST /v1/checkout", json.dumps(body))
    assert reply.status < 500, reply.raw
    if reply.status >= REFUSED and reply.status != 402:
        assert orders(shared_door) == before


@FUZZ
@given(text=st.text(max_size=200) | ANYTHING.map(json.dumps), encoded=st.booleans())
def test_a_body_of_anything(shared_door: Door, text: str, encoded: bool) -> None:
    for route in ("POST /v1/checkout", "POST /v1/checkout/quote"):
        assert REFUSED <= shared_door.ask(route, text, base64_encoded=encoded).status < 500
    for verb in ("payments", "cancel", "capture", "refunds"):
        route = f"POST /v1/orders/{{order_id}}/{verb}"
        assert REFUSED <= shared_door.ask(route, text, base64_encoded=encoded, order_id="x").status < 500
    for action in ("assign", "resolve"):
        route = f"POST /v1/ops/process-failures/{{failure_id}}/{action}"
        assert REFUSED <= shared_door.ask(route, text, base64_encoded=encoded, failure_id="x").status < 500
    assert REFUSED <= shared_door.ask("POST /v1/ops/payments/refold", text, base64_encoded=encoded).status < 500


@FUZZ
@given(
    query=st.dictionaries(st.sampled_from(["before", "limit", "status", "process_name", "x"]), st.text(max_size=40)),
    reference=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=70),
    key=st.text(max_size=300),
)
def test_queries_paths_and_headers_of_anything(
    shared_door: Door, query: dict[str, str], reference: str, key: str
) -> None:
    assert shared_door.ask("GET /v1/orders", query=query).status in (200, 422)
    assert shared_door.ask("GET /v1/orders/{reference}", reference=reference).status in (404, 422)
    assert shared_door.ask("POST /v1/orders/{order_id}/cancel", {}, order_id=reference, key=key or "k").status in (
        404,
        422,
    )
    grace = MANAGERS.setdefault(shared_door.house.organization_id, shared_door.staff("manager"))
    assert shared_door.ask("GET /v1/ops/process-failures", query=query, who=grace).status in (200, 422)
    for path in ("process-failures/{failure_id}", "orders/{reference}/timeline"):
        answer = shared_door.ask(f"GET /v1/ops/{path}", who=grace, failure_id=reference, reference=reference)
        assert answer.status in (404, 422)
    webhook = "POST /v1/webhooks/{gateway}/{endpoint_key}"
    answer = shared_door.ask(
        webhook, key, who={}, headers={"stripe-signature": key}, gateway="stripe", endpoint_key=reference
    )
    assert answer.status in (404, 422)
    guest = shared_door.ask("POST /v1/guest-sessions", who={}, headers={"x-publishable-key": key})
    assert guest.status in (401, 422)


OPERATIONS: Final = [
    *(f"POST /v1/ops/dead-letters/{{dead_letter_id}}/{step}" for step in ("assign", "investigate", "ready", "discard")),
    "POST /v1/ops/dead-letters/{dead_letter_id}/replay",
    "POST /v1/ops/dead-letters/replay",
    "POST /v1/ops/dead-letter-groups/{fingerprint}/replay",
    "POST /v1/ops/group-replays/{group_replay_id}/cancel",
    "POST /v1/ops/error-classes",
    "POST /v1/ops/error-classes/test",
    "PUT /v1/ops/error-classes/order",
    "PUT /v1/ops/error-classes/{error_class_id}",
    "POST /v1/ops/error-classes/{error_class_id}/deactivate",
    "POST /v1/ops/error-classes/{error_class_id}/auto-replay",
]
FIELDS: Final = [
    "assignee", "version", "note", "ids", "per_minute", "max", "class_name", "match_order", "event_type", "active",
    "gateway_pattern", "failure_code_pattern", "message_keywords", "min_confidence", "enabled", "replaces",
]  # fmt: skip


@FUZZ
@given(
    route=st.sampled_from(OPERATIONS),
    body=st.dictionaries(st.sampled_from(FIELDS) | TEXTS, ANYTHING, max_size=6),
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=70),
)
def test_operations_on_dead_letters_of_anything(shared_door: Door, route: str, body: Any, name: str) -> None:
    who = _manager(shared_door)
    path = dict.fromkeys(re.findall(r"{(\w+)}", route), name)
    assert shared_door.ask(route, json.dumps(body), who=who, key=None, **path).status < 500
    known = dict.fromkeys(path, "01930000-0000-7000-8000-0000000000e2")
    assert shared_door.ask(route, json.dumps(body), who=who, key=None, **known).status < 500


@FUZZ
@given(
    query=st.dictionaries(
        st.sampled_from(["status", "priority", "error_class_id", "assigned_to", "fingerprint", "after", "limit"]),
        st.text(max_size=40) | st.sampled_from(["pending_review", "critical", "1"]),
    ),
    days=st.dictionaries(
        st.sampled_from(["from", "to"]), st.text(max_size=12) | st.dates().map(str) | st.integers().map(str)
    ),
)
def test_queries_of_dead_letters_of_anything(shared_door: Door, query: dict[str, str], days: dict[str, str]) -> None:
    who = _manager(shared_door)
    assert shared_door.ask("GET /v1/ops/dead-letters", who=who, query=query).status in (200, 422)
    assert shared_door.ask("GET /v1/ops/dead-letter-metrics", who=who, query=days).status in (200, 422)


@cache
def _manager(door: Door) -> dict[str, str]:
    return door.staff("manager")


def orders(door: Door) -> int:
    return int(door.house.value("SELECT count(*) FROM orders.orders"))
