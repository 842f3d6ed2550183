"""The queue of dead letters through the API: its order, and each step of the work."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

import pytest

from holdfast.payments.dead_letters import DeadLetterPriority, DeadLetterStatus
from holdfast.secrets.store import SecretStore
from holdfast.values.payment_events import EventType
from holdfast.web import dead_letter_views as views
from tests.flows.dead_lettering import add_class, buried, mend_events
from tests.flows.letters import letter, put_letter
from tests.handlers.dead_letter_desk import (
    CANCEL,
    GROUP_REPLAY,
    GROUPS,
    LIST,
    ONE,
    REPLAY_GROUP,
    STEP,
    Desk,
    ids,
    refused,
)
from tests.handlers.test_openapi import same
from tests.house import House

# --- the queue ------------------------------------------------------------------------------------------------------


def test_the_queue_has_the_most_urgent_first_and_among_equals_the_oldest(desk: Desk) -> None:
    wanted = [DeadLetterPriority.LOW, DeadLetterPriority.CRITICAL, DeadLetterPriority.MEDIUM, DeadLetterPriority.HIGH]
    statuses = [DeadLetterStatus.PENDING_REVIEW, DeadLetterStatus.INVESTIGATING]
    put = [(p, str(put_letter(desk.house, priority=p, status=s))) for s in statuses for p in wanted]
    for closed in (DeadLetterStatus.REPLAYED, DeadLetterStatus.DISCARDED):
        put_letter(desk.house, status=closed)
    rank = ["critical", "high", "medium", "low"]
    assert ids(desk.ask(LIST)) == [each for _, each in sorted(put, key=lambda p: (rank.index(p[0]), p[1]))]


def test_pages_of_the_queue_join_without_a_gap_or_an_overlap(desk: Desk) -> None:
    kinds = [EventType.CAPTURE_SUCCEEDED, EventType.CAPTURE_FAILED, EventType.DISPUTE_OPENED]
    for number in range(11):
        put_letter(desk.house, event_type=kinds[number % 3])
    whole, paged, after = ids(desk.ask(LIST)), list[str](), None
    while True:
        page = desk.ask(LIST, query={"limit": "3"} | ({"after": after} if after else {}))
        paged += ids(page)
        # A letter that is resolved between pages keeps its place in the queue, so it still serves as the cursor.
        desk.house.sql(
            "UPDATE payments.dead_letters SET status = 'discarded', resolved_at = now(), resolution_notes = 'x'"
            " WHERE id = :id",
            id=uuid.UUID(paged[-1]),
        )
        after = page.body["next_after"]
        if after is None:
            break
    assert paged == whole
    assert len(whole) == 11
    refused(desk.ask(LIST, query={"after": str(uuid.uuid4())}), 422, "invalid_input")


def test_the_queue_is_narrowed_by_each_filter_and_by_all_together(desk: Desk) -> None:
    class_id = add_class(desk.house)
    review = DeadLetterStatus.PENDING_REVIEW
    wanted = str(
        put_letter(desk.house, status=review, error_class_id=class_id, assigned_to="grace", fingerprint="feed0001")
    )
    other = str(put_letter(desk.house, event_type=EventType.CAPTURE_FAILED))
    filters = {
        "status": "pending_review",
        "priority": "critical",
        "error_class_id": str(class_id),
        "assigned_to": "grace",
        "fingerprint": "feed0001",
    }
    for name, value in filters.items():
        assert ids(desk.ask(LIST, query={name: value})) == [wanted], name
    assert ids(desk.ask(LIST, query=filters)) == [wanted]
    assert ids(desk.ask(LIST, query={"status": "discarded"})) == []
    assert ids(desk.ask(LIST, query={"priority": "medium"})) == [other]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "open"},
        {"priority": "urgent"},
        {"limit": "0"},
        {"limit": "101"},
        {"error_class_id": "x"},
        {"after": "x"},
        {"fingerprint": "a b"},
        {"assigned_to": "\x00"},
    ],
)
def test_a_filter_that_means_nothing_is_refused(desk: Desk, query: dict[str, str]) -> None:
    refused(desk.ask(LIST, query=query), 422, "invalid_input")


def test_a_dead_letter_shows_its_event_its_payment_its_order_and_all_its_steps(desk: Desk) -> None:
    found = buried(desk.house)
    reply = desk.ask(ONE, dead_letter_id=str(found["id"]))
    same(views.DeadLetterAnswer, reply.body)
    shown = reply.body["dead_letter"]
    assert shown["order"]["id"] == found["order_id"]
    assert (shown["event"]["state"], shown["event"]["attempts"]) == ("dead_lettered", 6)
    assert shown["payload"]["type"] == "payment_intent.succeeded"
    assert [step["action"] for step in shown["history"]] == ["dead_lettered"]
    same(views.DeadLetterPage, desk.ask(LIST).body)


# --- the work -------------------------------------------------------------------------------------------------------


def test_every_step_is_on_the_record_with_who_took_it_and_why(desk: Desk) -> None:
    found = put_letter(desk.house)
    assert desk.step("assign", found, assignee=desk.name).status == 200
    assert desk.step("investigate", found, 2, note="asked the gateway").status == 200
    assert desk.step("investigate", found, 3, note="they answered").status == 200
    assert desk.step("ready", found, 4, note="the account is open again").status == 200
    last = desk.step("discard", found, 5, note="it was a test of theirs")
    assert desk.steps(found) == [
        ("assigned", "pending_classification", "pending_classification", f"assigned to {desk.name}"),
        ("investigated", "pending_classification", "investigating", "asked the gateway"),
        ("investigated", "investigating", "investigating", "they answered"),
        ("made_ready", "investigating", "ready_for_replay", "the account is open again"),
        ("discarded", "ready_for_replay", "discarded", "it was a test of theirs"),
    ]
    shown = last.body["dead_letter"]
    assert {step["changed_by"] for step in shown["history"]} == {f"staff:{desk.name}"}
    assert (shown["status"], shown["version"], shown["assigned_to"]) == ("discarded", 6, desk.name)
    assert shown["resolution_notes"] == "it was a test of theirs"
    assert shown["resolved_at"]


def test_who_is_named_must_be_of_the_staff_and_nobody_may_be_named(desk: Desk) -> None:
    found = put_letter(desk.house)
    for stranger in ("nobody", desk.door.staff(None)["sub"], "ada"):
        problem = refused(desk.step("assign", found, assignee=stranger), 422, "invalid_input")
        assert problem["errors"][0]["field"] == "assignee"
    assert desk.step("assign", found, assignee=desk.name).status == 200
    assert desk.step("assign", found, 2, assignee=None).body["dead_letter"]["assigned_to"] is None


def test_what_somebody_is_given_does_not_replay_by_itself(desk: Desk) -> None:
    scheduled = DeadLetterStatus.AUTO_REPLAY_SCHEDULED
    found = put_letter(desk.house, status=scheduled, error_class_id=add_class(desk.house))
    taken = desk.step("assign", found, assignee=desk.name).body["dead_letter"]
    assert (taken["status"], taken["replay_at"]) == ("pending_review", None)
    found = put_letter(desk.house, status=scheduled, error_class_id=add_class(desk.house, "other"))
    looked_at = desk.step("investigate", found).body["dead_letter"]
    assert (looked_at["status"], looked_at["replay_at"]) == ("investigating", None)


@pytest.mark.parametrize(
    ("name", "body"),
    [("assign", {"assignee": None}), ("investigate", {}), ("ready", {}), ("discard", {"note": "x"}), ("replay", {})],
)
def test_a_stale_version_is_told_and_changes_nothing(desk: Desk, name: str, body: dict[str, Any]) -> None:
    found = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW)
    assert desk.step("assign", found, assignee=desk.name).status == 200
    before = letter(desk.house, found)
    problem = refused(desk.step(name, found, 1, **body), 409, "conflict")
    assert problem["version"] == 2
    assert letter(desk.house, found) == before
    assert len(desk.steps(found)) == 1


@pytest.mark.parametrize("closed", [DeadLetterStatus.REPLAYED, DeadLetterStatus.DISCARDED])
def test_nothing_follows_an_end(desk: Desk, closed: DeadLetterStatus) -> None:
    found = put_letter(desk.house, status=closed)
    before = letter(desk.house, found)
    bodies: dict[str, dict[str, Any]] = {"assign": {"assignee": None}, "discard": {"note": "x"}}
    for name in ("assign", "investigate", "ready", "discard"):
        problem = refused(desk.step(name, found, **bodies.get(name, {})), 409, "transition_refused")
        assert problem["current"] == closed
        assert problem["allowed"] == []
    refused(desk.step("replay", found), 409, "conflict")
    assert letter(desk.house, found) == before


def test_nobody_works_on_what_is_being_replayed(desk: Desk) -> None:
    found = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW)
    desk.house.sql("UPDATE payments.dead_letters SET replay_lease_until = now() + interval '1 minute', replays = 1")
    bodies: dict[str, dict[str, Any]] = {"assign": {"assignee": None}, "discard": {"note": "x"}}
    for name in ("assign", "investigate", "ready", "discard", "replay"):
        refused(desk.step(name, found, **bodies.get(name, {})), 409, "conflict")


WRONG: Final[Mapping[str, tuple[str, Any, str]]] = {
    "assigned to nobody in particular": ("assign", {"version": 1}, "assignee"),
    "assigned to a control character": ("assign", {"assignee": "a\x01", "version": 1}, "assignee"),
    "no version": ("investigate", {}, "version"),
    "a version of 0": ("ready", {"version": 0}, "version"),
    "a version in words": ("ready", {"version": "1"}, "version"),
    "a version beyond all": ("ready", {"version": 2**31}, "version"),
    "discarded without a word": ("discard", {"version": 1}, "note"),
    "discarded with an empty word": ("discard", {"version": 1, "note": ""}, "note"),
    "a note with a NUL": ("investigate", {"version": 1, "note": "a\x00"}, "note"),
    "an endless note": ("investigate", {"version": 1, "note": "a" * 2001}, "note"),
    "something else": ("replay", {"force": True}, "force"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_a_step_that_is_not_well_formed_changes_nothing(desk: Desk, case: str) -> None:
    name, body, field = WRONG[case]
    found = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW)
    before = (letter(desk.house, found), desk.door.rows_of_all_tables())
    problem = refused(desk.ask(STEP + name, body, dead_letter_id=str(found)), 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert (letter(desk.house, found), desk.door.rows_of_all_tables()) == before


def test_another_organizations_dead_letters_are_not_there(
    desk: Desk, stripe_url: str, secret_store: SecretStore
) -> None:
    found = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW)
    put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW)
    group = desk.ask(REPLAY_GROUP, {"per_minute": 1, "max": 1}, fingerprint="0123456789abcdef").body["group_replay"]
    with House(desk.house.owner, stripe_url, secret_store) as other:
        who = desk.door.staff("owner", organization_id=other.organization_id)
        before = (letter(desk.house, found), desk.door.rows_of_all_tables())
        assert ids(desk.ask(LIST, who=who)) == []
        assert desk.ask(GROUPS, who=who).body == {"groups": []}
        refused(desk.ask(ONE, who=who, dead_letter_id=str(found)), 404, "not_found")
        bodies: dict[str, dict[str, Any]] = {"assign": {"assignee": None}, "discard": {"note": "x"}}
        for name in ("assign", "investigate", "ready", "discard", "replay"):
            body = {"version": 1} | bodies.get(name, {})
            refused(desk.ask(STEP + name, body, who=who, dead_letter_id=str(found)), 404, "not_found")
        several = desk.ask("POST /v1/ops/dead-letters/replay", {"ids": [str(found)]}, who=who)
        assert [(each["status"], each["code"]) for each in several.body["results"]] == [("refused", "not_found")]
        rate = {"per_minute": 1}
        refused(desk.ask(REPLAY_GROUP, rate, who=who, fingerprint="0123456789abcdef"), 404, "not_found")
        refused(desk.ask(GROUP_REPLAY, who=who, group_replay_id=group["id"]), 404, "not_found")
        refused(desk.ask(CANCEL, who=who, group_replay_id=group["id"]), 404, "not_found")
        assert (letter(desk.house, found), desk.door.rows_of_all_tables()) == before


def test_a_class_that_was_written_down_meanwhile_is_its_class_and_counts_its_replay(desk: Desk) -> None:
    found = buried(desk.house)
    assert desk.step("investigate", found["id"]).status == 200
    class_id = add_class(desk.house)
    ready = desk.step("ready", found["id"], 2).body["dead_letter"]
    assert ready["error_class_id"] == str(class_id)
    mend_events(desk.house)
    assert desk.step("replay", found["id"], 3).body["result"]["status"] == "replayed"
    assert desk.house.value("SELECT successful_replays FROM payments.error_classes") == 1
