"""What must be true of every answer, whatever was asked."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from holdfast.web.access import OPERATION_OF_ROUTE, PUBLIC
from tests.fuzz.cases import Shot
from tests.fuzz.writes import Written

DOCUMENTED: Final = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
UNAUTHENTICATED: Final = 401
REFUSED: Final = 400

STATUSES_THAT_WRITE: Final[Mapping[int, str]] = {
    402: "a gateway declined: the order stands with its hold and its attempt, so that another means will do",
}
WRITES_OF_REFUSALS: Final[Mapping[tuple[str, str], str]] = {
    ("POST /v1/ops/stock/imports", "invalid_input"): "a file with bad rows is kept, with what is wrong with it, under"
    " the id it answers",
    ("POST /v1/orders/{order_id}/payments", "conflict"): "the attempt before is ended at the gateway first; where the"
    " gateway says that it was paid meanwhile, that is written down, and the order is paid already",
    ("POST /v1/ops/shipments/{shipment_id}/ship", "capture_failed"): "the decision to ship is committed before the"
    " gateway is asked for the money; without it the parcel stays packed",
    ("POST /v1/orders/{order_id}/capture", "capture_failed"): "the capture is committed before the gateway is asked,"
    " and that it was refused is on the record",
}
"""(a route, a problem's code) -> why a request that is refused with it may still have written something."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A shot, the route it took, the answer, and what was written."""

    shot: Shot
    took: str | None
    answer: Response
    written: Collection[Written]
    ids: Collection[str]
    """Ids of the shop that a stranger must not be told."""


def judge(outcome: Outcome) -> list[str]:
    """Return what is wrong with an outcome, in words; an empty list when all is well."""
    status = outcome.answer.status_code
    if status >= 500:
        return [f"it answered {status}"]
    if outcome.took != outcome.shot.route:
        return []  # it took another route, or none: what is documented there is checked when that route's turn comes
    wrong = _undocumented(outcome) + _let_in(outcome) + _told(outcome)
    if outcome.shot.is_forbidden and status < REFUSED:
        wrong.append(f"the document forbids the body, and it was answered {status}")
    if status >= REFUSED and status not in STATUSES_THAT_WRITE:
        wrong += [
            f"it was refused with {status} and did {written}"
            for written in sorted(outcome.written, key=str)
            if (outcome.shot.route, _code(outcome.answer)) not in WRITES_OF_REFUSALS
        ]
    return wrong


def _code(answer: Response) -> str:
    """Return the code of a problem, or "" for the gateway's own answers."""
    try:
        return str(json.loads(answer.content).get("code", ""))
    except (ValueError, AttributeError):
        return ""


def _undocumented(outcome: Outcome) -> list[str]:
    try:
        outcome.shot.case.validate_response(outcome.answer, checks=DOCUMENTED)
    except FailureGroup as group:
        return [_line(failure) for failure in group.exceptions]
    except Failure as failure:
        return [_line(failure)]
    return []


def _line(failure: BaseException) -> str:
    title = getattr(failure, "title", type(failure).__name__)
    return f"{title}: {' '.join(str(getattr(failure, 'message', failure)).split())[:300]}"


def _let_in(outcome: Outcome) -> list[str]:
    """Report it if somebody did what they may not do, or was not answered as somebody who may not."""
    shot, status = outcome.shot, outcome.answer.status_code
    if OPERATION_OF_ROUTE[shot.route] is PUBLIC:
        return []
    if not shot.person.is_let_through and status != UNAUTHENTICATED:
        return [f"{shot.person.name} was answered {status}"]
    if status < REFUSED and not shot.person.may(shot.route):
        return [f"{shot.person.name} may not do this, and was answered {status}"]
    if status < REFUSED and shot.person.is_stranger and shot.names_ours:
        return [f"{shot.person.name} named a thing of this shop, and was answered {status}"]
    return []


def _told(outcome: Outcome) -> list[str]:
    """Report it if a stranger was told of something that they had not named themselves."""
    if not outcome.shot.person.is_stranger or OPERATION_OF_ROUTE[outcome.shot.route] is PUBLIC:
        return []
    request = outcome.answer.request
    sent = f"{request.url} {_text(request.body)}"
    said = _text(outcome.answer.content)
    return [
        f"{outcome.shot.person.name} was told {found}" for found in outcome.ids if found in said and found not in sent
    ]


def _text(body: Any) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
