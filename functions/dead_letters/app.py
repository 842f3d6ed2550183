"""Dead letters: the queue of payment events that failed every attempt, what people do about them, and their replays."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.flows.dead_letters.group_dead_letters import list_dead_letter_groups, read_dead_letter_metrics
from holdfast.flows.dead_letters.list_dead_letters import Filters, find_dead_letter, list_dead_letters
from holdfast.flows.dead_letters.replay_dead_letters import replay_one, replay_several
from holdfast.flows.dead_letters.replay_group import cancel_group_replay, find_group_replay, start_group_replay
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.payments.dead_letters import DeadLetterAction
from holdfast.runtime import runtime
from holdfast.values.caller import Caller
from holdfast.web import dead_letter_models as takes
from holdfast.web.caller import caller_from
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve
from holdfast.web.routes import DATABASE, JSON_BODY, route
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import count

app = make_resolver()
handler = serve(app)

_READS = ("invalid_input", *DATABASE)
_CHANGES = (*JSON_BODY, *DATABASE, "not_found", "conflict")
_STEPS = (*_CHANGES, "transition_refused")
_ONE = "/v1/ops/dead-letters/{dead_letter_id}"
_GROUP_REPLAY = "/v1/ops/group-replays/{group_replay_id}"
_TAG = "Dead letters"
_LETTER, _GROUP = {200: "DeadLetterAnswer"}, {200: "GroupReplayAnswer"}


@route(app, "GET /v1/ops/dead-letters", "List dead letters", returns={200: "DeadLetterPage"}, refuses=_READS, tag=_TAG)
def dead_letters(
    status: takes.StatusQuery = None,
    priority: takes.PriorityQuery = None,
    error_class_id: takes.ClassQuery = None,
    assigned_to: takes.AssigneeQuery = None,
    fingerprint: takes.FingerprintQuery = None,
    after: takes.AfterQuery = None,
    limit: takes.LimitQuery = 20,
) -> Response[Any]:
    """The queue: the most urgent first, among equals the oldest. `next_after` is the cursor of the next page."""
    filters = Filters(status, priority, error_class_id, assigned_to, fingerprint)
    return json_response(list_dead_letters(runtime(), _caller(), filters, after=after, limit=limit, now=utc_now()))


@route(app, f"GET {_ONE}", "Find a dead letter", returns=_LETTER, refuses=(*_READS, "not_found"), tag=_TAG)
def dead_letter(dead_letter_id: takes.DeadLetterId) -> Response[Any]:
    """With what the gateway sent, what became of the event, every step so far, its payment and its order."""
    return json_response({"dead_letter": find_dead_letter(runtime(), _caller(), dead_letter_id, utc_now())})


@route(app, f"POST {_ONE}/assign", "Assign a dead letter", returns=_LETTER, refuses=_STEPS, tag=_TAG)
def assign_dead_letter(dead_letter_id: takes.DeadLetterId, body: takes.AssignBody) -> Response[Any]:
    """To a member of the staff, or to nobody. What is assigned does not replay by itself."""
    return _taken(Step(DeadLetterAction.ASSIGNED, dead_letter_id, body.version, assignee=body.assignee))


@route(app, f"POST {_ONE}/investigate", "Look into a dead letter", returns=_LETTER, refuses=_STEPS, tag=_TAG)
def investigate_dead_letter(dead_letter_id: takes.DeadLetterId, body: takes.StepBody) -> Response[Any]:
    """Somebody looks into it: neither a class nor a group replays it meanwhile."""
    return _taken(Step(DeadLetterAction.INVESTIGATED, dead_letter_id, body.version, body.note))


@route(app, f"POST {_ONE}/ready", "Make a dead letter ready for its replay", returns=_LETTER, refuses=_STEPS, tag=_TAG)
def make_dead_letter_ready(dead_letter_id: takes.DeadLetterId, body: takes.StepBody) -> Response[Any]:
    """What was wrong is put right."""
    return _taken(Step(DeadLetterAction.MADE_READY, dead_letter_id, body.version, body.note))


@route(app, f"POST {_ONE}/discard", "Discard a dead letter", returns=_LETTER, refuses=_STEPS, tag=_TAG)
def discard_dead_letter(dead_letter_id: takes.DeadLetterId, body: takes.DiscardBody) -> Response[Any]:
    """Nothing is done about the event any more, for the reason given. It stays on the record."""
    return _taken(Step(DeadLetterAction.DISCARDED, dead_letter_id, body.version, body.note))


@route(app, f"POST {_ONE}/replay", "Replay a dead letter", returns={200: "ReplayAnswer"}, refuses=_STEPS, tag=_TAG)
def replay_one_dead_letter(dead_letter_id: takes.DeadLetterId, body: takes.ReplayBody) -> Response[Any]:
    """Its event once more, now; from pending_review or ready_for_replay. That it failed again is an answer too."""
    answer = replay_one(runtime(), _caller(), dead_letter_id, body.version, utc_now)
    count("DeadLettersReplayed", Status=answer["result"]["status"])
    return json_response(answer)


@route(
    app,
    "POST /v1/ops/dead-letters/replay",
    "Replay several dead letters",
    returns={200: "ReplaySeveralAnswer"},
    refuses=(*JSON_BODY, *DATABASE),
    tag=_TAG,
)
def replay_several_dead_letters(body: takes.ReplaySeveralBody) -> Response[Any]:
    """One after the other, with a result for each. What there was no time for may be asked for again."""
    left = time_left(app.lambda_context)
    return json_response(replay_several(runtime(), _caller(), body.ids, utc_now, left))


@route(
    app,
    "GET /v1/ops/dead-letter-metrics",
    "Count dead letters by day",
    returns={200: "DeadLetterDays"},
    refuses=_READS,
    tag=_TAG,
)
def dead_letter_metrics(from_: takes.FromQuery = None, to: takes.ToQuery = None) -> Response[Any]:
    """What came, what was replayed or discarded, and what stood open, on each day."""
    return json_response(read_dead_letter_metrics(runtime(), _caller(), from_, to, utc_now()))


@route(
    app,
    "GET /v1/ops/dead-letter-groups",
    "List dead letters by trouble",
    returns={200: "DeadLetterGroups"},
    refuses=_READS,
    tag=_TAG,
)
def dead_letter_groups(limit: takes.LimitQuery = 20) -> Response[Any]:
    """Open dead letters with one fingerprint are one trouble: how many, since when, and the latest reason."""
    return json_response(list_dead_letter_groups(runtime(), _caller(), limit, utc_now()))


@route(
    app,
    "POST /v1/ops/dead-letter-groups/{fingerprint}/replay",
    "Replay a group",
    returns={202: "GroupReplayAnswer"},
    refuses=_CHANGES,
    tag=_TAG,
)
def replay_dead_letter_group(fingerprint: takes.FingerprintPath, body: takes.ReplayGroupBody) -> Response[Any]:
    """So many a minute, the oldest first, until none is left or one fails again. It begins at once."""
    left = time_left(app.lambda_context)
    group = start_group_replay(runtime(), _caller(), fingerprint, body.to_rate(), utc_now, left)
    return json_response({"group_replay": group}, 202)


@route(app, f"GET {_GROUP_REPLAY}", "Watch a group replay", returns=_GROUP, refuses=(*_READS, "not_found"), tag=_TAG)
def group_replay(group_replay_id: takes.GroupReplayId) -> Response[Any]:
    """How far it came, and what stopped it."""
    return json_response({"group_replay": find_group_replay(runtime(), _caller(), group_replay_id, utc_now())})


@route(app, f"POST {_GROUP_REPLAY}/cancel", "Cancel a group replay", returns=_GROUP, refuses=_CHANGES, tag=_TAG)
def stop_group_replay(group_replay_id: takes.GroupReplayId) -> Response[Any]:
    """No further one is replayed. Cancelled already, it stays so."""
    return json_response({"group_replay": cancel_group_replay(runtime(), _caller(), group_replay_id, utc_now())})


def _caller() -> Caller:
    return caller_from(app.current_event.raw_event)


def _taken(step: Step) -> Response[Any]:
    return json_response({"dead_letter": take_step(runtime(), _caller(), step, utc_now())})
