"""Error classes: what people know about kinds of failures, tried in order, and which of them replay automatically."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.dead_letters.change_error_classes import (
    change_error_class,
    create_error_class,
    deactivate_error_class,
    order_error_classes,
    set_auto_replay,
)
from holdfast.flows.dead_letters.list_error_classes import find_error_class, list_error_classes
from holdfast.flows.dead_letters.try_error_class import try_error_class
from holdfast.runtime import runtime
from holdfast.values.caller import Caller
from holdfast.web import dead_letter_models as takes
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route

app = make_resolver()
handler = serve(app)

_ALL = "/v1/ops/error-classes"
_ONE = "/v1/ops/error-classes/{error_class_id}"
_SAVES = (*JSON_BODY, *DATABASE, "conflict")
_CHANGES = (*_SAVES, "not_found")
_TAG = "Error classes"
_CLASSES, _SAVED = {200: "ErrorClassList"}, {200: "SavedErrorClass"}


@route(app, f"GET {_ALL}", "List error classes", returns=_CLASSES, refuses=DATABASE, tag=_TAG)
def error_classes() -> Response[Any]:
    """In the order in which they are tried; also those out of use."""
    return json_response(list_error_classes(runtime(), _caller(), utc_now()))


@route(app, f"POST {_ALL}", "Create an error class", returns={201: "SavedErrorClass"}, refuses=_SAVES, tag=_TAG)
def create_class(body: takes.ErrorClassBody) -> Response[Any]:
    """Classifies the waiting dead letters anew at once. A taken `match_order` moves the others one back."""
    return json_response(create_error_class(runtime(), _caller(), body.to_proposal(), utc_now()), 201)


@route(
    app,
    f"PUT {_ALL}/order",
    "Order error classes",
    returns={200: "OrderedErrorClasses"},
    refuses=_SAVES,
    tag=_TAG,
)
def order_classes(body: takes.OrderBody) -> Response[Any]:
    """Names every class once. Classifies the waiting dead letters anew at once."""
    return json_response(order_error_classes(runtime(), _caller(), body.ids, utc_now()))


@route(
    app,
    f"POST {_ALL}/test",
    "See what an error class would match",
    returns={200: "ErrorClassTrial"},
    refuses=(*JSON_BODY, *DATABASE, "not_found"),
    tag=_TAG,
)
def test_class(body: takes.ProposedClassBody) -> Response[Any]:
    """Which waiting dead letters would be of it, were it saved now: the first match wins. Nothing is written."""
    return json_response(try_error_class(runtime(), _caller(), body.to_proposal(), body.replaces, utc_now()))


@route(
    app,
    f"GET {_ONE}",
    "Find an error class",
    returns={200: "ErrorClassAnswer"},
    refuses=("invalid_input", "not_found", *DATABASE),
    tag=_TAG,
)
def error_class(error_class_id: takes.ErrorClassId) -> Response[Any]:
    """With what its replays came to, and what keeps it from replaying by itself."""
    return json_response({"error_class": find_error_class(runtime(), _caller(), error_class_id, utc_now())})


@route(app, f"PUT {_ONE}", "Change an error class", returns=_SAVED, refuses=_CHANGES, tag=_TAG)
def change_class(error_class_id: takes.ErrorClassId, body: takes.ChangeClassBody) -> Response[Any]:
    """With other criteria its record begins anew. Classifies the waiting dead letters anew at once."""
    saved = change_error_class(
        runtime(),
        _caller(),
        error_class_id,
        body.to_proposal(),
        version=body.version,
        active=body.active,
        now=utc_now(),
    )
    return json_response(saved)


@route(app, f"POST {_ONE}/deactivate", "Retire an error class", returns=_SAVED, refuses=_CHANGES, tag=_TAG)
def deactivate_class(error_class_id: takes.ErrorClassId, body: takes.DeactivateBody) -> Response[Any]:
    """It matches nothing any more, and nothing of it replays by itself; its record stays."""
    return json_response(deactivate_error_class(runtime(), _caller(), error_class_id, body.version, utc_now()))


@route(app, f"POST {_ONE}/auto-replay", "Switch auto-replay", returns=_SAVED, refuses=_CHANGES, tag=_TAG)
def switch_auto_replay(error_class_id: takes.ErrorClassId, body: takes.AutoReplayBody) -> Response[Any]:
    """On only for a class that has earned it: ten replays that succeeded, its confidence, and no cooldown."""
    saved = set_auto_replay(
        runtime(), _caller(), error_class_id, enabled=body.enabled, version=body.version, now=utc_now()
    )
    return json_response(saved)


def _caller() -> Caller:
    return caller_from(app.current_event.raw_event)
