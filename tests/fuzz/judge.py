"""What must be true of every answer, whatever was asked."""

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
WRITES_OF_REFUSALS: Final[Mapping[tuple[str, int], str]] = {
    ("POST /v1/ops/stock/imports", 422): "a file with bad rows is kept, with what is wrong with it, under the id it"
    " answers",
    ("POST /v1/orders/{order_id}/payments", 409): "the attempt before is ended at the gateway first; where the gateway"
    " says that it was paid meanwhile, that is written down, and the order is paid already",
}
"""(a route, a status) -> why a request that is refused with it may have written all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A shot, the route it took, the answer, and what was written."""

    shot: Shot
    took: str | None
    answer: Response
    written: Collection[Written]
    ids: Collection[str]
    """What the shop has that a stranger must not hear of."""


def judge(outcome: Outcome) -> list[str]:
    """What is wrong with it, in words; nothing when all is well."""
    status = outcome.answer.status_code
    if status >= 500:
        return [f"it answered {status}"]
    if outcome.took != outcome.shot.route:
        return []  # it went to another route, or to none: what is documented there is asked when it is its turn
    wrong = _undocumented(outcome) + _let_in(outcome) + _told(outcome)
    if status >= REFUSED and status not in STATUSES_THAT_WRITE:
        wrong += [
            f"it was refused with {status} and did {written}"
            for written in sorted(outcome.written, key=str)
            if (outcome.shot.route, status) not in WRITES_OF_REFUSALS
        ]
    return wrong


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
    """Who may not do this did it, or was told something else than that they may not."""
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
    """A stranger heard of something that they did not name themselves."""
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
