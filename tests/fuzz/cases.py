"""What is sent: whatever the document allows and forbids, and good requests with parts of them spoiled.

Schemathesis makes the first two. On their own they seldom get far, because a document cannot say which ids exist. So
most requests get the ids, versions and SKUs of things that the shop has, and the third kind starts from the sample
events of the functions.
"""

import copy
import json
import random
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.generation.meta import ParameterLocation

from local import sample_events
from tests.furnished import THING_OF_PARAMETER, Pantry
from tests.fuzz.people import Person
from tests.handlers.test_fuzz import ANYTHING, places

WEBHOOKS: Final = ("POST /v1/webhooks/{gateway}/{endpoint_key}", "POST /v1/webhooks/{gateway}")
TYPES: Final = (
    "text/plain",
    "application/xml",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "a/b/c",
    ";",
)
PLACES: Final = ("\x00", "a" * 3_000, "..", "\u2603", "'; --", "%2F", "-1", "9" * 40, "null", "\U0001f600", "{x}")
"""Values that may be in a path or a query and name nothing."""
HEADERS: Final = ("idempotency-key", "content-type", "x-publishable-key")
"""The headers of a sample that belong to the request itself, and not to the client."""
KEYS: Final = ("a-key-that-comes-again", "another-key-that-comes-again")


@dataclass(frozen=True, slots=True)
class Shot:
    """A request that is to be sent."""

    route: str
    kind: str
    person: Person
    case: Case
    raw: bytes | None = None
    """A body that is sent as it is."""
    headers: Mapping[str, str] = field(default_factory=dict)
    names_ours: bool = False
    """Whether its path names a thing of the shop that the requests are sent to."""
    is_forbidden: bool = False
    """Whether the document forbids its body."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A good request of a route."""

    body: Any
    headers: Mapping[str, str]
    query: Mapping[str, str]


@cache
def samples() -> Mapping[str, Sequence[Sample]]:
    """Return the samples of ``events/``, by route."""
    found: dict[str, list[Sample]] = {}
    for name in sample_events.names():
        event = sample_events.render(name, now=datetime.now(UTC))
        if "routeKey" not in event:
            continue
        headers = {name: value for name, value in event["headers"].items() if name in HEADERS}
        text = event.get("body") or None
        is_json = text is not None and "json" in headers.get("content-type", "")
        body = json.loads(text) if is_json and event["routeKey"] not in WEBHOOKS else text
        found.setdefault(event["routeKey"], []).append(Sample(body, headers, event.get("queryStringParameters") or {}))
    return found


class Quiver:
    """Makes the shots at one route after another, all from one seed."""

    def __init__(self, seed_name: str, pantry: Pantry, people: Sequence[Person]) -> None:
        self._seed = seed_name
        self._pantry = pantry
        self._people = people

    def shots(self, operation: Any) -> Iterator[Shot]:
        """Yield the shots at a route. What the shop has is looked up when each shot is made, not before."""
        route = f"{operation.method.upper()} {operation.path}"
        dice = random.Random(f"{self._seed}/{route}")
        welcome = self._welcome(route)
        for spoiled in (0, 0, 0, 1, 1, 2):
            yield self._sample(operation, route, dice, dice.choice(welcome), spoiled)
        for _ in range(2):
            yield self._sample(operation, route, dice, dice.choice(self._people), 0)
        for _ in range(2):
            yield self._bent(operation, route, dice)
        for mode, count in ((GenerationMode.POSITIVE, 4), (GenerationMode.NEGATIVE, 3)):
            for case in _generated(operation, mode, count, f"{self._seed}/{route}/{mode.value}"):
                person = dice.choice(welcome if dice.random() < 0.7 else self._people)
                yield self._generated(case, route, dice, person, mode)

    def good_shots(self, operation: Any) -> Iterator[Shot]:
        """Yield good shots without end, by people who may send them.

        Some of them hit a thing that is in the right state.
        """
        route = f"{operation.method.upper()} {operation.path}"
        dice = random.Random(f"{self._seed}/{route}/good")
        while True:
            yield self._sample(operation, route, dice, dice.choice(self._welcome(route)), 0)

    def _welcome(self, route: str) -> list[Person]:
        return [person for person in self._people if person.may(route) and not person.is_stranger]

    def _generated(self, case: Case, route: str, dice: random.Random, person: Person, mode: GenerationMode) -> Shot:
        thing = self._thing(route, dice) if dice.random() < 0.75 else {}
        own = [name for name in _parameters(route) if name in thing]
        spare = dice.choice(own) if own and mode is GenerationMode.NEGATIVE and dice.random() < 0.3 else None
        for name in own:
            if name != spare:
                case.path_parameters[name] = thing[name]
        if isinstance(case.query, dict):
            case.query = _filled(case.query, thing, dice)
        filled = _filled(case.body, thing, dice)
        # By their texts, because to Python a forbidden True equals the 1 that took its place.
        is_forbidden = _is_forbidden(case) and repr(filled) == repr(case.body)
        case.body = filled
        case.headers.pop("Authorization", None)
        ours = bool(own) and spare is None
        return Shot(route, mode.value, person, case, names_ours=ours, is_forbidden=is_forbidden)

    def _sample(self, operation: Any, route: str, dice: random.Random, person: Person, spoiled: int) -> Shot:
        sample = dice.choice(samples().get(route) or [Sample(None, {}, {})])
        thing = self._thing(route, dice)
        parameters = _parameters(route)
        path = {name: thing.get(name, str(uuid.UUID(int=dice.getrandbits(128)))) for name in parameters}
        body, raw = _filled(copy.deepcopy(sample.body), thing, dice), None
        if spoiled:
            body = _spoiled(body, spoiled, dice)
        headers = {name.title(): value for name, value in sample.headers.items()}
        if "Idempotency-Key" in headers:
            headers["Idempotency-Key"] = dice.choice(KEYS) if dice.random() < 0.15 else f"{dice.getrandbits(64):x}"
        if "X-Publishable-Key" in headers and not spoiled:
            headers["X-Publishable-Key"] = self._pantry.house.publishable_key
        if body is not None:
            raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else _dumped(body)
        if route in WEBHOOKS and raw is not None and dice.random() < 0.7:
            secret, now = self._pantry.house.webhook_secret, datetime.now(UTC)
            headers["Stripe-Signature"] = sample_events.stripe_signature(raw, secret=secret, now=now)
        if spoiled and raw is not None and dice.random() < 0.25:
            raw = raw[: dice.randrange(len(raw) + 1)]
        case = operation.Case(path_parameters=path, query=_filled(dict(sample.query), thing, dice))
        names_ours = bool(parameters) and all(name in thing for name in parameters)
        return Shot(route, f"sample, {spoiled} spoiled", person, case, raw, headers, names_ours)

    def _bent(self, operation: Any, route: str, dice: random.Random) -> Shot:
        """Make a good shot, then change its bytes, headers or path into what no client of the document would send."""
        good = self._sample(operation, route, dice, dice.choice(self._welcome(route)), 0)
        change: dict[str, Any] = {}
        match dice.choice(("type", "encoding", "bytes", "size", "depth", "path", "query")):
            case "type":
                change = {"headers": {**good.headers, "Content-Type": dice.choice(TYPES)}}
            case "encoding":
                change = {"headers": {**good.headers, "Content-Encoding": dice.choice(("gzip", "br", "x"))}}
            case "bytes":
                change = {"raw": dice.randbytes(dice.randrange(1, 400))}
            case "size":
                change = {"raw": b'{"notes":"' + b"x" * dice.choice((70_000, 300_000, 1_100_000)) + b'"}'}
            case "depth":
                change = {"raw": b"[" * 5_000 + b"]" * 5_000}
            case "path" if _parameters(route):
                good.case.path_parameters[dice.choice(_parameters(route))] = dice.choice(PLACES)
                change = {"names_ours": False}
            case _:
                good.case.query[dice.choice(("limit", "before", "x", "status"))] = dice.choice(PLACES)
        return replace(good, kind="bent", **change)

    def _thing(self, route: str, dice: random.Random) -> dict[str, Any]:
        """Choose a thing that the path names, or else something of the stock, and add what any body may name."""
        parameters = _parameters(route)
        found = self._pantry.some(parameters, route, dice)
        beside: dict[str, Any] = {"deadline_at": (datetime.now(UTC) + timedelta(days=6)).isoformat()}
        for thing in ("method", "level", "member", "order"):
            if all_of_it := self._pantry.all(thing):
                beside |= dice.choice(all_of_it)
        if "ids" not in found and route.endswith(("/replay", "/order")):
            kind = "error_class" if "error-classes" in route else "dead_letter"
            beside["ids"] = [row["ids"] for row in self._pantry.all(kind)]
        return beside | found


def _parameters(route: str) -> tuple[str, ...]:
    found = tuple(re.findall(r"{(\w+)}", route))
    assert set(found) <= set(THING_OF_PARAMETER), f"tests/furnished.py does not know what {route} names"
    return found


def _generated(operation: Any, mode: GenerationMode, count: int, name: str) -> list[Case]:
    """Return cases of Schemathesis, or none where the document leaves nothing to choose."""
    made: list[Case] = []

    @seed(name)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(operation.as_strategy(generation_mode=mode))
    def make(case: Case) -> None:
        made.append(case)

    try:
        make()
    except Unsatisfiable:
        return []
    return made[:count]


def _is_forbidden(case: Case) -> bool:
    how = case.meta.components.get(ParameterLocation.BODY) if case.meta is not None else None
    return how is not None and how.mode is GenerationMode.NEGATIVE


def _filled(value: Any, thing: Mapping[str, Any], dice: random.Random) -> Any:
    """Return the value with what the thing has under the same name put into most members that it has a value for."""
    if isinstance(value, dict):
        return {
            name: thing[name]
            if name in thing and isinstance(name, str) and dice.random() < 0.9
            else _filled(member, thing, dice)
            for name, member in value.items()
        }
    return [_filled(member, thing, dice) for member in value] if isinstance(value, list) else value


def _spoiled(body: Any, times: int, dice: random.Random) -> Any:
    """Spoil a good body: replace, remove or add parts, or cut a piece out of a text."""
    for _ in range(times):
        if isinstance(body, str):
            at = dice.randrange(len(body) + 1)
            body = body[:at] + _anything(str, dice) + body[at + dice.randrange(9) :]
        found = places(body) if isinstance(body, dict | list) else []
        if not found:
            return body if isinstance(body, str) else _anything(object, dice)
        *way, last = dice.choice(found)
        parent = body
        for name in way:
            parent = parent[name]
        match dice.choice(("replace", "replace", "remove", "add")):
            case "replace":
                parent[last] = _anything(object, dice)
            case "remove":
                del parent[last]
            case _ if isinstance(parent, dict):
                parent[_anything(str, dice)] = _anything(object, dice)
    return body


def _anything(kind: type, dice: random.Random) -> Any:
    """Return anything that JSON can hold."""
    made: list[Any] = []

    @seed(dice.getrandbits(64))
    @settings(
        max_examples=2, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.text(max_size=30) if kind is str else ANYTHING)
    def make(value: Any) -> None:
        made.append(value)

    make()
    return made[-1]


def _dumped(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")
