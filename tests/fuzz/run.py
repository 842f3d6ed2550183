"""One seed: a furnished shop, a stranger's shop beside it, and every route of the document with its shots."""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import requests
import schemathesis

from holdfast.identity.development import DevelopmentGuestTokens
from local.documented import DOCUMENT
from tests.furnished import furnish
from tests.fuzz.cases import Quiver, Shot
from tests.fuzz.judge import STATUSES_THAT_WRITE, Outcome, judge
from tests.fuzz.people import everybody
from tests.fuzz.stage import Stage
from tests.fuzz.wire import BASE_URL, Log, Wire
from tests.fuzz.writes import Notebook
from tests.handlers.door import Door
from tests.house import House

LOG_TOLD_MAX_CHARACTERS: Final = 6_000
GOOD_SHOTS_MAX: Final = 40
"""The limit for a route that has not succeeded yet."""
CONSUMING: Final = (
    "/v1/address-reviews/{token}",
    "/v1/ops/address-reviews/{review_id}/resolve",
    "/v1/ops/address-reviews/{review_id}/correct",
    "/v1/ops/address-reviews/{review_id}/cancel",
    "/v1/ops/dead-letter-groups/{fingerprint}/replay",
    "/v1/ops/dead-letters/replay",
    "/v1/ops/dead-letters/{dead_letter_id}/discard",
    "/v1/ops/customers/{customer_id}/erase",
    "/v1/orders/{order_id}/refunds",
    "/v1/orders/{order_id}/cancel",
)
"""Paths that come last, because they leave the others little to work on."""
NEVER_REFUSED: Final[Mapping[str, str]] = {
    "GET /v1/health": "takes nothing that could be wrong, and no token",
    "GET /v1/openapi.json": "takes nothing that could be wrong, and no token",
}
NEVER_SUCCEEDS: Final[Mapping[str, str]] = {
    "POST /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/compensate": "a ledger that replays to its stock has"
    " nothing to compensate, and nothing that is sent here makes it differ",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not happen, and a request that shows it."""

    seed: str
    route: str
    wrong: str
    told: str


@dataclass(slots=True)
class Tally:
    """What was sent and answered, over all seeds."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    kinds: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    writes_of_refusals: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    rounds: int = 0
    """The number of seeds that came to their end."""

    @property
    def requests(self) -> int:
        """The number of requests."""
        return sum(self.kinds.values())


def operations() -> list[Any]:
    """Return every route of the committed document."""
    schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))
    return [found.ok() for found in schema.get_all_operations()]


def run_seed(stage: Stage, log: Log, seed: str, tally: Tally, is_over: Callable[[], bool]) -> None:
    """Send the shots of all routes, in an order of this seed's own, or of as many routes as there is time for."""
    with stage.shops() as (ours, theirs):
        pantry = furnish(ours)
        _open_to_guests_and_webhooks(ours, stage)
        people = everybody(ours, theirs, stage.issuer, stage.folder)
        wire = Wire(Door(ours), stage.issuer, stage.folder)
        notebook, ids = Notebook(ours), pantry.ids()
        quiver, routes = Quiver(seed, pantry, people), operations()
        random.Random(seed).shuffle(routes)
        routes.sort(key=lambda operation: CONSUMING.index(operation.path) if operation.path in CONSUMING else -1)
        for operation in routes:
            if is_over():
                return
            for shot in quiver.shots(operation):
                _fire(shot, seed, wire, notebook, log, ids, tally)
            for shot in islice(quiver.good_shots(operation), GOOD_SHOTS_MAX):
                if any(status < 300 for status in tally.statuses[shot.route]) or shot.route in NEVER_SUCCEEDS:
                    break
                _fire(shot, seed, wire, notebook, log, ids, tally)
        tally.rounds += 1
        tally.findings += [Finding(seed, "what holds at every instant", wrong, "") for wrong in ours.violations()]


def _open_to_guests_and_webhooks(house: House, stage: Stage) -> None:
    """Make guest tokens available, and make the shop that of a deployment with a single shop."""
    house.runtime.__dict__["guest_tokens"] = DevelopmentGuestTokens(stage.issuer.url)
    house.endpoint_key = "default-stripe"
    house.sql(
        "UPDATE tenancy.gateway_accounts SET endpoint_key = :key WHERE organization_id = :o",
        key=house.endpoint_key,
        o=house.organization_id,
    )


def _fire(shot: Shot, seed: str, wire: Wire, notebook: Notebook, log: Log, ids: set[str], tally: Tally) -> None:
    request = _prepared(shot)
    if request is None:
        return
    begin, at = log.end(), time.monotonic()
    answer = wire.send(request)
    outcome = Outcome(shot, wire.route(request), answer, notebook.tear_off(), ids)
    tally.kinds[shot.kind] += 1
    tally.people[shot.person.name] += 1
    if outcome.took == shot.route:
        tally.statuses[shot.route][answer.status_code] += 1
    if answer.status_code >= 400 and answer.status_code not in STATUSES_THAT_WRITE:
        for written in outcome.written:
            tally.writes_of_refusals[f"{shot.route} {answer.status_code} {written}"] += 1
    for wrong in judge(outcome):
        told = (
            f"{shot.kind}, by {shot.person.name}, {1000 * (time.monotonic() - at):.0f} ms\n"
            f"{request.method} {request.url}\n{dict(request.headers)}\n{request.body!r}\n"
            f"-> {answer.status_code} {answer.content[:2000]!r}\n{log.since(begin)[-LOG_TOLD_MAX_CHARACTERS:]}"
        )
        tally.findings.append(Finding(seed, shot.route, wrong, told))


def _prepared(shot: Shot) -> requests.PreparedRequest | None:
    """Return the request as it goes over the wire, or ``None`` for one that no HTTP client can send."""
    headers = dict(shot.headers)
    if shot.person.authorization is not None:
        headers["Authorization"] = shot.person.authorization
    sent = shot.case.as_transport_kwargs(base_url=BASE_URL, headers=headers)
    if shot.raw is not None:
        sent = {name: value for name, value in sent.items() if name not in ("json", "data", "files")} | {
            "data": shot.raw
        }
        sent["headers"].setdefault("Content-Type", shot.headers.get("Content-Type", "application/json"))
    try:
        return requests.Request(**{**sent, "cookies": None}).prepare()
    except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
        return None
