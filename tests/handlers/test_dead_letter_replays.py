"""Replays of dead letters through the API, one by one and by group, and their figures."""

import uuid

import pytest

from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.values.payment_events import EventType
from holdfast.web import dead_letter_views as views
from tests.flows.dead_lettering import add_class, break_events, buried, fail_until_given_up, mend_events, paid_unheard
from tests.flows.letters import put_letter
from tests.handlers.dead_letter_desk import CANCEL, GROUPS, REPLAY_GROUP, STEP, Desk, refused
from tests.handlers.test_openapi import same

# --- replays --------------------------------------------------------------------------------------------------------


def test_a_replay_settles_what_the_event_was_about_and_says_so(desk: Desk) -> None:
    add_class(desk.house)
    found = buried(desk.house)
    failed = desk.step("replay", found["id"])
    same(views.ReplayAnswer, failed.body)
    assert failed.body["result"]["status"] == "pending_review"
    assert "ledger" in failed.body["result"]["failure_reason"]
    mend_events(desk.house)
    done = desk.step("replay", found["id"], failed.body["dead_letter"]["version"])
    assert done.body["result"] == {"status": "replayed", "failure_reason": None}
    assert done.body["dead_letter"]["event"]["state"] == "processed"
    assert done.body["dead_letter"]["order"]["status"] == "confirmed"
    refused(desk.ask(STEP + "replay", {}, dead_letter_id=str(found["id"])), 409, "conflict")


def test_what_nobody_vouched_for_is_not_replayed(desk: Desk) -> None:
    found = buried(desk.house)
    mend_events(desk.house)
    problem = refused(desk.step("replay", found["id"]), 409, "transition_refused")
    assert problem["current"] == "pending_classification"
    version = desk.step("ready", found["id"]).body["dead_letter"]["version"]
    assert desk.step("replay", found["id"], version).body["result"]["status"] == "replayed"


def test_several_are_replayed_with_a_result_for_each(desk: Desk) -> None:
    add_class(desk.house)
    events = [paid_unheard(desk.house) for _ in range(2)]
    break_events(desk.house)
    fail_until_given_up(desk.house)
    mend_events(desk.house)
    break_events(desk.house, only=events[1]["gateway_event_id"])
    rows = desk.house.rows("SELECT id, event_id FROM payments.dead_letters ORDER BY id")
    of_event = {row["event_id"]: str(row["id"]) for row in rows}
    wanted = [of_event[events[0]["id"]], of_event[events[1]["id"]], str(uuid.uuid4()), of_event[events[0]["id"]]]
    reply = desk.ask("POST /v1/ops/dead-letters/replay", {"ids": wanted})
    same(views.ReplaySeveralAnswer, reply.body)
    results = reply.body["results"]
    assert [(each["id"], each["status"], each["code"]) for each in results] == [
        (wanted[0], "replayed", None),
        (wanted[1], "pending_review", None),
        (wanted[2], "refused", "not_found"),
    ]
    for body in ({"ids": []}, {"ids": [str(uuid.uuid4())] * 51}, {"ids": ["x"]}, {}):
        refused(desk.ask("POST /v1/ops/dead-letters/replay", body), 422, "invalid_input")


# --- groups and figures ---------------------------------------------------------------------------------------------


def test_equal_troubles_are_one_group_with_their_counts(desk: Desk) -> None:
    for status in (DeadLetterStatus.PENDING_REVIEW, DeadLetterStatus.PENDING_REVIEW, DeadLetterStatus.INVESTIGATING):
        put_letter(desk.house, status=status, fingerprint="aaaa0001", event_type=EventType.CAPTURE_FAILED)
    put_letter(desk.house, status=DeadLetterStatus.REPLAYED, fingerprint="aaaa0001")
    put_letter(desk.house, fingerprint="aaaa0002", reason="KeyError: 'amount'")
    reply = desk.ask(GROUPS)
    same(views.DeadLetterGroups, reply.body)
    told = [(g["fingerprint"], g["priority"], g["open"], g["by_status"]) for g in reply.body["groups"]]
    assert told == [
        ("aaaa0002", "critical", 1, {"pending_classification": 1}),
        ("aaaa0001", "medium", 3, {"pending_review": 2, "investigating": 1}),
    ]
    assert reply.body["groups"][0]["sample_reason"] == "KeyError: 'amount'"


def test_a_group_is_replayed_from_the_api_and_watched_and_cancelled(desk: Desk) -> None:
    events = [paid_unheard(desk.house) for _ in range(3)]
    break_events(desk.house)
    fail_until_given_up(desk.house)
    mend_events(desk.house)
    fingerprint = desk.ask(GROUPS).body["groups"][0]["fingerprint"]
    begun = desk.ask(REPLAY_GROUP, {"per_minute": 1, "max": 10}, fingerprint=fingerprint)
    assert begun.status == 202
    same(views.GroupReplayAnswer, begun.body)
    group = begun.body["group_replay"]
    assert (group["state"], group["replayed"], group["remaining"]) == ("running", 1, 2)
    assert desk.ask(GROUPS).body["groups"][0]["running_group_replay_id"] == group["id"]
    problem = refused(desk.ask(REPLAY_GROUP, {"per_minute": 600}, fingerprint=fingerprint), 409, "conflict")
    assert problem["group_replay_id"] == group["id"]
    for _ in range(2):
        cancelled = desk.ask(CANCEL, group_replay_id=group["id"])
        assert cancelled.body["group_replay"]["state"] == "cancelled"
    again = desk.ask(REPLAY_GROUP, {"per_minute": 600}, fingerprint=fingerprint).body["group_replay"]
    assert (again["state"], again["replayed"]) == ("finished", 2)
    assert refused(desk.ask(CANCEL, group_replay_id=again["id"]), 409, "conflict")["state"] == "finished"
    refused(desk.ask(REPLAY_GROUP, {"per_minute": 1}, fingerprint=fingerprint), 404, "not_found")
    assert len(events) == desk.house.value("SELECT count(*) FROM orders.orders WHERE status = 'confirmed'")


@pytest.mark.parametrize(
    "body", [{}, {"per_minute": 0}, {"per_minute": 601}, {"per_minute": 1, "max": 0}, {"per_minute": 1, "max": 10_001}]
)
def test_the_rate_of_a_group_replay_is_bounded(desk: Desk, body: dict[str, int]) -> None:
    put_letter(desk.house)
    refused(desk.ask(REPLAY_GROUP, body, fingerprint="0123456789abcdef"), 422, "invalid_input")
    assert desk.house.value("SELECT count(*) FROM payments.group_replays") == 0


def test_figures_are_told_by_day(desk: Desk) -> None:
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        desk.house.sql(
            "INSERT INTO payments.dlq_metrics_daily (organization_id, day, counts_by_status, created, replayed,"
            " auto_replayed, discarded, average_resolution_hours, critical_open, counted_at)"
            " VALUES (:o, CAST(:day AS date), '{\"pending_review\": 2}', 3, 1, 1, 0, 1.25, 2, now())",
            o=desk.house.organization_id,
            day=day,
        )
    route = "GET /v1/ops/dead-letter-metrics"
    reply = desk.ask(route, query={"from": "2026-01-02", "to": "2026-01-31"})
    same(views.DeadLetterDays, reply.body)
    assert [each["day"] for each in reply.body["days"]] == ["2026-01-02", "2026-01-03"]
    assert reply.body["days"][0]["average_resolution_hours"] == 1.25
    assert desk.ask(route).status == 200
    for query in (
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "yesterday"},
        {"to": "2026-02-30"},
    ):
        refused(desk.ask(route, query=query), 422, "invalid_input")
