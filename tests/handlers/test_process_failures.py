"""The inbox of failures that need a person, through the operations API."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast.flows.operations.process_names import Process
from holdfast.values.ids import uuid7
from holdfast.web import process_failure_views
from tests.handlers.door import Door, Reply
from tests.handlers.test_openapi import same

FAILURES = "GET /v1/ops/process-failures"
COUNTS = "GET /v1/ops/process-failure-counts"
FAILURE = "GET /v1/ops/process-failures/{failure_id}"
ASSIGN = "POST /v1/ops/process-failures/{failure_id}/assign"
UNASSIGN = "POST /v1/ops/process-failures/{failure_id}/unassign"
RESOLVE = "POST /v1/ops/process-failures/{failure_id}/resolve"
REOPEN = "POST /v1/ops/process-failures/{failure_id}/reopen"


@pytest.fixture
def grace(door: Door) -> dict[str, str]:
    return door.staff("manager")


def fail(door: Door, process_name: str = "PaymentUndecided", related_id: Any = None) -> str:
    """Record a failure that a person must look at, and return its id."""
    failure_id = uuid7(door.house.clock.advance(seconds=1))
    door.house.sql(
        "INSERT INTO operations.process_failures (organization_id, id, process_name, related_id, details, payload,"
        " created_at) VALUES (:o, :id, :process, :related, 'nobody knows', '{\"amount\": 5}', :now)",
        o=door.house.organization_id,
        id=failure_id,
        process=process_name,
        related=related_id or uuid7(door.house.clock.now),
        now=door.house.clock.now,
    )
    return str(failure_id)


def test_open_failures_are_listed_newest_first_page_by_page(door: Door, grace: dict[str, str]) -> None:
    made = [fail(door) for _ in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = door.ask(FAILURES, who=grace, query=query).body
        seen += [failure["id"] for failure in page["process_failures"]]
        if page["next_before"] is None:
            break
        query = {"limit": "2", "before": page["next_before"]}
    assert seen == made[::-1]


def test_failures_are_filtered_by_process_and_status(door: Door, grace: dict[str, str]) -> None:
    late, undecided = fail(door, "LatePayment"), fail(door)
    door.ask(RESOLVE, {"note": "told the shopper", "version": 1}, who=grace, failure_id=late)

    def listed(**query: str) -> list[str]:
        return [f["id"] for f in door.ask(FAILURES, who=grace, query=query).body["process_failures"]]

    assert listed() == [undecided]
    assert listed(process_name="LatePayment") == []
    assert listed(process_name="LatePayment", status="resolved") == [late]
    assert door.ask(FAILURES, who=grace, query={"status": "gone"}).status == 422
    assert door.ask(FAILURES, who=grace, query={"limit": "101"}).status == 422


def test_a_failure_is_taken_and_resolved_with_a_note_by_name(door: Door, grace: dict[str, str]) -> None:
    failure_id = fail(door)
    taken = door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=failure_id).body["process_failure"]
    assert (taken["assigned_to"], taken["version"]) == (f"staff:{grace['sub']}", 2)
    given = door.ask(ASSIGN, {"assigned_to": "maria", "version": 2}, who=grace, failure_id=failure_id)
    assert given.body["process_failure"]["assigned_to"] == "maria"
    body = {"note": "refunded by hand at the gateway", "version": 3}
    resolved = door.ask(RESOLVE, body, who=grace, failure_id=failure_id).body["process_failure"]
    assert resolved == door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]
    assert resolved["status"] == "resolved"
    assert resolved["resolved_by"] == f"staff:{grace['sub']}"
    assert resolved["resolution_notes"] == "refunded by hand at the gateway"
    assert resolved["payload"] == {"amount": 5}


def test_two_people_do_not_undo_each_others_work(door: Door, grace: dict[str, str]) -> None:
    failure_id = fail(door)
    assert door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=failure_id).status == 200
    stale = door.ask(RESOLVE, {"note": "done", "version": 1}, who=door.staff("admin"), failure_id=failure_id)
    assert (stale.status, stale.body["code"], stale.body["version"]) == (409, "conflict", 2)
    assert door.ask(RESOLVE, {"note": "done", "version": 2}, who=grace, failure_id=failure_id).status == 200
    for route, body in ((ASSIGN, {"version": 3}), (RESOLVE, {"note": "again", "version": 3})):
        late = door.ask(route, body, who=grace, failure_id=failure_id)
        assert (late.status, late.body["code"]) == (409, "conflict")
    failure = door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]
    assert failure["resolution_notes"] == "done"


@pytest.mark.parametrize(
    "body", [{"version": 1}, {"note": "", "version": 1}, {"note": "x"}, {"note": "x", "version": 0}]
)
def test_a_resolution_says_what_was_done_about_which_version(
    door: Door, grace: dict[str, str], body: dict[str, Any]
) -> None:
    failure_id = fail(door)
    assert door.ask(RESOLVE, body, who=grace, failure_id=failure_id).status == 422
    assert door.ask(FAILURE, who=grace, failure_id=failure_id).body["process_failure"]["status"] == "open"


def test_a_failure_that_is_not_there_is_not_found(door: Door, grace: dict[str, str]) -> None:
    nobody = str(uuid7(door.house.clock.now))
    assert door.ask(FAILURE, who=grace, failure_id=nobody).status == 404
    assert door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=nobody).status == 404
    assert door.ask(RESOLVE, {"note": "x", "version": 1}, who=grace, failure_id=nobody).status == 404


def steps(reply: Reply) -> list[tuple[int, str, str | None, str | None]]:
    return [
        (step["sequence"], step["action"], step["assigned_to"], step["notes"])
        for step in reply.body["process_failure"]["history"]
    ]


def test_every_step_is_on_the_record_by_whom_and_when(door: Door, grace: dict[str, str]) -> None:
    failure_id, me = fail(door), f"staff:{grace['sub']}"

    def act(route: str, **body: Any) -> Reply:
        return door.ask(route, body, who=grace, failure_id=failure_id)

    act(ASSIGN, version=1)
    act(UNASSIGN, version=2)
    act(ASSIGN, assigned_to="maria", version=3)
    act(RESOLVE, note="told the shopper", version=4)
    reopened = act(REOPEN, note="it did not arrive", version=5)
    assert reopened.body["process_failure"]["status"] == "open"
    assert reopened.body["process_failure"]["resolved_by"] is None
    last = act(RESOLVE, note="arrived", version=6)
    assert steps(last) == [
        (1, "opened", None, None),
        (2, "assigned", me, None),
        (3, "unassigned", None, None),
        (4, "assigned", "maria", None),
        (5, "resolved", "maria", "told the shopper"),
        (6, "reopened", "maria", "it did not arrive"),
        (7, "resolved", "maria", "arrived"),
    ]
    same(process_failure_views.ProcessFailureAnswer, last.body)
    by = [step["changed_by"] for step in last.body["process_failure"]["history"]]
    assert by[1:] == [me] * 6
    audited = door.house.rows(
        "SELECT actor, changed_values ->> 'status' AS status FROM operations.audit_log"
        " WHERE table_name = 'operations.process_failures' ORDER BY id"
    )
    assert [row["actor"] for row in audited] == [me] * 6
    assert [row["status"] for row in audited] == [None, None, None, "resolved", "open", "resolved"]


def test_the_record_of_a_failure_is_written_by_nobody_by_hand(door: Door) -> None:
    fail(door)
    for runtime in (door.house.runtime, door.house.system):
        with (
            pytest.raises(Exception, match="permission denied"),
            runtime.database.transaction(door.house.organization_id, now=door.house.clock(), actor="x") as transaction,
        ):
            transaction.execute("UPDATE operations.process_failure_history SET notes = 'forged'")


def test_what_is_open_cannot_be_reopened_and_what_was_resolved_is_not_unassigned(
    door: Door, grace: dict[str, str]
) -> None:
    failure_id = fail(door)
    again = door.ask(REOPEN, {"note": "x", "version": 1}, who=grace, failure_id=failure_id)
    assert (again.status, again.body["detail"]) == (409, "the failure is open already")
    door.ask(RESOLVE, {"note": "x", "version": 1}, who=grace, failure_id=failure_id)
    for route, body in ((UNASSIGN, {"version": 2}), (REOPEN, {"note": "x", "version": 1})):
        assert door.ask(route, body, who=grace, failure_id=failure_id).status == 409
    assert door.ask(REOPEN, {"note": "", "version": 2}, who=grace, failure_id=failure_id).status == 422


def test_trouble_that_is_open_again_is_not_opened_twice(door: Door, grace: dict[str, str]) -> None:
    order_id = uuid7(door.house.clock.now)
    first = fail(door, "LatePayment", order_id)
    door.ask(RESOLVE, {"note": "told the shopper", "version": 1}, who=grace, failure_id=first)
    second = fail(door, "LatePayment", order_id)
    refused = door.ask(REOPEN, {"note": "again", "version": 2}, who=grace, failure_id=first)
    assert (refused.status, refused.body["code"], refused.body["open_failure"]) == (409, "conflict", second)
    assert len(door.ask(FAILURE, who=grace, failure_id=first).body["process_failure"]["history"]) == 2
    door.ask(RESOLVE, {"note": "told again", "version": 1}, who=grace, failure_id=second)
    assert door.ask(REOPEN, {"note": "again", "version": 2}, who=grace, failure_id=first).status == 200


def test_of_many_who_reopen_at_once_one_does(door: Door, grace: dict[str, str]) -> None:
    order_id = uuid7(door.house.clock.now)
    failures = []
    for _ in range(4):
        failures.append(fail(door, "LatePayment", order_id))
        door.ask(RESOLVE, {"note": "told the shopper", "version": 1}, who=grace, failure_id=failures[-1])
    with ThreadPoolExecutor(8) as threads:
        replies = list(
            threads.map(
                lambda failure_id: door.ask(REOPEN, {"note": "x", "version": 2}, who=grace, failure_id=failure_id),
                failures * 2,
            )
        )
    assert sorted(reply.status for reply in replies) == [200] + [409] * 7
    assert door.house.failures() == ["LatePayment"]


def test_failures_are_filtered_by_assignee_subject_and_age(door: Door, grace: dict[str, str]) -> None:
    order_id = uuid7(door.house.clock.now)
    old = fail(door, "LatePayment", order_id)
    between = door.house.clock.advance(hours=1)
    mine, nobodys = fail(door), fail(door, "RefundFailed", order_id)
    door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=mine)
    door.ask(RESOLVE, {"note": "x", "version": 1}, who=grace, failure_id=old)

    def listed(**query: str) -> list[str]:
        reply = door.ask(FAILURES, who=grace, query={"status": "any"} | query)
        same(process_failure_views.ProcessFailurePage, reply.body)
        return [failure["id"] for failure in reply.body["process_failures"]]

    assert listed() == [nobodys, mine, old]
    assert listed(assigned_to=f"staff:{grace['sub']}") == [mine]
    assert listed(is_assigned="true") == [mine]
    assert listed(is_assigned="false", status="open") == [nobodys]
    assert listed(related_id=str(order_id)) == [nobodys, old]
    assert listed(older_than=between.isoformat()) == [old]
    assert listed(newer_than=between.isoformat()) == [nobodys, mine]
    assert listed(related_id=str(order_id), limit="1") == [nobodys]
    for wrong in (
        {"older_than": "yesterday"},
        {"related_id": "7"},
        {"assigned_to": "x" * 201},
        {"is_assigned": "maybe"},
    ):
        assert door.ask(FAILURES, who=grace, query=wrong).status == 422


def test_every_process_is_counted_with_its_meaning_and_its_runbook(door: Door, grace: dict[str, str]) -> None:
    first, second = fail(door, "LatePayment"), fail(door, "LatePayment")
    oldest = fail(door, "RefundFailed")
    door.ask(ASSIGN, {"version": 1}, who=grace, failure_id=first)
    door.ask(RESOLVE, {"note": "x", "version": 1}, who=grace, failure_id=second)
    told = door.ask(COUNTS, who=grace).body
    same(process_failure_views.ProcessFailureCounts, told)
    counts = {each["process_name"]: each for each in told["processes"]}
    assert list(counts) == [str(process) for process in Process]
    late, refund = counts["LatePayment"], counts["RefundFailed"]
    assert (late["open"], late["unassigned"], late["resolved"]) == (1, 0, 1)
    assert (refund["open"], refund["unassigned"], refund["resolved"]) == (1, 1, 0)
    assert refund["runbook"] == "docs/operations.md#refundfailed"
    created = door.ask(FAILURE, who=grace, failure_id=oldest).body["process_failure"]["created_at"]
    assert refund["oldest_open_at"] == created
    assert counts["OutboxRelay"]["oldest_open_at"] is None
    door.house.clock.advance(days=40)
    assert door.ask(COUNTS, who=door.staff("viewer")).status == 403
