"""Error classes through the API: their order, dry run and audit trail, and auto-replay, which has to be earned."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.secrets.store import SecretStore
from holdfast.values.payment_events import EventType
from holdfast.web import dead_letter_views as views
from tests.flows.dead_lettering import add_class
from tests.flows.letters import letter, put_letter
from tests.handlers.door import PROBLEM, Door, Reply
from tests.handlers.test_openapi import same
from tests.house import House

ALL: Final = "GET /v1/ops/error-classes"
CREATE: Final = "POST /v1/ops/error-classes"
TRY: Final = "POST /v1/ops/error-classes/test"
ORDER: Final = "PUT /v1/ops/error-classes/order"
FIND: Final = "GET /v1/ops/error-classes/{error_class_id}"
CHANGE: Final = "PUT /v1/ops/error-classes/{error_class_id}"
RETIRE: Final = "POST /v1/ops/error-classes/{error_class_id}/deactivate"
SWITCH: Final = "POST /v1/ops/error-classes/{error_class_id}/auto-replay"
LOST: Final = {"class_name": "lost", "message_keywords": ["connection", "GONE"]}


class Desk:
    """A manager at the API."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.house = door.house
        self.who = door.staff("manager")

    def ask(self, route: str, body: Any = None, class_id: Any = None, **more: Any) -> Reply:
        path = {} if class_id is None else {"error_class_id": str(class_id)}
        return self.door.ask(route, body, key=None, who=more.pop("who", self.who), **path, **more)

    def create(self, **body: Any) -> dict[str, Any]:
        reply = self.ask(CREATE, body)
        assert reply.status == 201, reply.raw
        return reply.body

    def names(self) -> list[tuple[int, str]]:
        return [(each["match_order"], each["class_name"]) for each in self.ask(ALL).body["error_classes"]]


@pytest.fixture
def desk(door: Door) -> Iterator[Desk]:
    return Desk(door)


def refused(reply: Reply, status: int, code: str) -> Mapping[str, Any]:
    assert (reply.status, reply.content_type) == (status, PROBLEM), reply.raw
    assert reply.body["code"] == code, reply.raw
    return reply.body


def test_a_new_class_takes_the_waiting_dead_letters_that_it_matches_and_says_how_many(desk: Desk) -> None:
    mine = [put_letter(desk.house), put_letter(desk.house, status=DeadLetterStatus.PENDING_CLASSIFICATION)]
    others = [
        put_letter(desk.house, reason="KeyError: 'amount'"),
        put_letter(desk.house, status=DeadLetterStatus.INVESTIGATING),
        put_letter(desk.house, status=DeadLetterStatus.DISCARDED),
    ]
    saved = desk.create(**LOST)
    same(views.SavedErrorClass, saved)
    assert saved["reclassified"] == 2
    class_id = uuid.UUID(saved["error_class"]["id"])
    for each in mine:
        assert (letter(desk.house, each)["status"], letter(desk.house, each)["error_class_id"]) == (
            "pending_review",
            class_id,
        )
    assert {letter(desk.house, each)["error_class_id"] for each in others} == {None}
    same(views.ErrorClassAnswer, desk.ask(FIND, class_id=class_id).body)
    assert saved["error_class"]["created_by"] == f"staff:{desk.who['sub']}"


def test_a_name_is_given_once(desk: Desk) -> None:
    first = desk.create(**LOST)["error_class"]
    problem = refused(desk.ask(CREATE, LOST), 409, "conflict")
    assert problem["error_class_id"] == first["id"]
    second = desk.create(class_name="another")["error_class"]
    body = {"class_name": "lost", "version": second["version"]}
    assert refused(desk.ask(CHANGE, body, second["id"]), 409, "conflict")["error_class_id"] == first["id"]
    assert [name for _, name in desk.names()] == ["lost", "another"]


def test_a_place_that_is_taken_moves_the_others_back(desk: Desk) -> None:
    for name in ("first", "second", "third"):
        desk.create(class_name=name)
    desk.create(class_name="between", match_order=2)
    assert desk.names() == [(1, "first"), (2, "between"), (3, "second"), (4, "third")]
    last = desk.ask(ALL).body["error_classes"][3]
    desk.ask(CHANGE, {"class_name": "third", "match_order": 1, "version": last["version"]}, last["id"])
    assert [name for _, name in desk.names()] == ["third", "first", "between", "second"]


def test_the_order_names_every_class_once_and_the_first_match_wins_anew(desk: Desk) -> None:
    made = [desk.create(class_name=name)["error_class"]["id"] for name in ("a", "b", "c")]
    found = put_letter(desk.house)
    assert desk.ask(CREATE, {"class_name": "d"}).body["reclassified"] == 1
    made.append(desk.ask(ALL).body["error_classes"][3]["id"])
    assert str(letter(desk.house, found)["error_class_id"]) == made[0]
    reply = desk.ask(ORDER, {"ids": made[::-1]})
    same(views.OrderedErrorClasses, reply.body)
    assert reply.body["reclassified"] == 1
    assert [each["class_name"] for each in reply.body["error_classes"]] == ["d", "c", "b", "a"]
    assert str(letter(desk.house, found)["error_class_id"]) == made[3]
    before = desk.names()
    for ids in (made[:3], [*made, made[0]], [*made[:3], str(uuid.uuid4())]):
        problem = refused(desk.ask(ORDER, {"ids": ids}), 409, "conflict")
        assert problem["ids"] == sorted(made)
    assert desk.names() == before


def test_a_stale_change_is_told_and_changes_nothing(desk: Desk) -> None:
    seen = desk.create(**LOST)["error_class"]
    assert desk.ask(CHANGE, LOST | {"version": 1, "description": "the line"}, seen["id"]).status == 200
    before = desk.ask(ALL).body
    for route, body in (
        (CHANGE, LOST | {"version": 1}),
        (RETIRE, {"version": 1}),
        (SWITCH, {"version": 1, "enabled": False}),
    ):
        assert refused(desk.ask(route, body, seen["id"]), 409, "conflict")["version"] == 2
    assert desk.ask(ALL).body == before


def test_a_class_out_of_use_matches_nothing_until_it_is_saved_again(desk: Desk) -> None:
    found = put_letter(desk.house)
    made = desk.create(**LOST)["error_class"]
    retired = desk.ask(RETIRE, {"version": 1}, made["id"])
    assert (retired.body["error_class"]["active"], retired.body["reclassified"]) == (False, 1)
    assert letter(desk.house, found)["status"] == "pending_classification"
    again = desk.ask(CHANGE, LOST | {"version": 2}, made["id"])
    assert (again.body["error_class"]["active"], again.body["reclassified"]) == (True, 1)
    still = desk.ask(CHANGE, LOST | {"version": 3, "active": False}, made["id"])
    assert (still.body["error_class"]["active"], still.body["reclassified"]) == (False, 1)


def test_the_switch_is_refused_naming_what_the_class_lacks(desk: Desk) -> None:
    house = desk.house
    lacking = {
        "9 replays succeeded": {"successful_replays": 9},
        "84.6 %": {"successful_replays": 11, "failed_replays": 2},
        "cools down": {"successful_replays": 10, "cooldown_until": house.clock.now.replace(year=2100)},
        "out of use": {"successful_replays": 10, "active": False},
    }
    for sentence, columns in lacking.items():
        class_id = add_class(house, sentence, **columns)
        problem = refused(desk.ask(SWITCH, {"enabled": True, "version": 1}, class_id), 409, "conflict")
        assert len(problem["lacks"]) == 1
        assert sentence in problem["lacks"][0]
        assert desk.ask(FIND, class_id=class_id).body["error_class"]["auto_replay_lacks"] == problem["lacks"]
        assert desk.ask(SWITCH, {"enabled": False, "version": 1}, class_id).status == 200


def test_a_class_that_earned_it_takes_its_waiting_ones_along_and_gives_them_back(desk: Desk) -> None:
    class_id = add_class(desk.house, successful_replays=17, failed_replays=3, message_keywords=["gone"])
    found = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW, error_class_id=class_id)
    failed = put_letter(desk.house, status=DeadLetterStatus.PENDING_REVIEW, error_class_id=class_id, replays=1)
    on = desk.ask(SWITCH, {"enabled": True, "version": 1}, class_id)
    assert (on.body["error_class"]["auto_replay_enabled"], on.body["reclassified"]) == (True, 1)
    assert (letter(desk.house, found)["status"], letter(desk.house, failed)["status"]) == (
        "auto_replay_scheduled",
        "pending_review",
    )
    off = desk.ask(SWITCH, {"enabled": False, "version": 2}, class_id)
    assert (off.body["error_class"]["auto_replay_enabled"], off.body["reclassified"]) == (False, 1)
    assert (letter(desk.house, found)["status"], letter(desk.house, found)["replay_at"]) == ("pending_review", None)


def test_with_other_criteria_the_record_of_a_class_begins_anew(desk: Desk) -> None:
    house = desk.house
    class_id = add_class(house, successful_replays=10, auto_replay_enabled=True, message_keywords=["gone"])
    same_criteria = {"class_name": "renamed", "message_keywords": ["gone"]}
    kept = desk.ask(CHANGE, same_criteria | {"version": 1}, class_id).body["error_class"]
    assert (kept["successful_replays"], kept["auto_replay_enabled"]) == (10, True)
    other = desk.ask(CHANGE, same_criteria | {"version": 2, "gateway_pattern": "str%"}, class_id).body["error_class"]
    assert (other["successful_replays"], other["auto_replay_enabled"], other["confidence"]) == (0, False, None)
    stricter_id = add_class(
        house, "strict", successful_replays=17, failed_replays=3, auto_replay_enabled=True, message_keywords=["gone"]
    )
    body = {"class_name": "strict", "message_keywords": ["gone"], "min_confidence": 90.0, "version": 1}
    stricter = desk.ask(CHANGE, body, stricter_id).body["error_class"]
    assert (stricter["successful_replays"], stricter["auto_replay_enabled"]) == (17, False)


def test_a_dry_run_tells_what_would_match_and_writes_nothing(desk: Desk) -> None:
    desk.create(class_name="captures", event_type="capture_succeeded")
    waiting = [put_letter(desk.house, event_type=EventType.CAPTURE_FAILED) for _ in range(25)]
    put_letter(desk.house)
    put_letter(desk.house, event_type=EventType.CAPTURE_FAILED, reason="KeyError: 'amount'")
    before = (desk.door.rows_of_all_tables(), desk.house.rows("SELECT * FROM payments.dead_letters ORDER BY id"))
    behind = desk.ask(TRY, LOST)
    same(views.ErrorClassTrial, behind.body)
    assert (behind.body["matching"], behind.body["looked_at"], len(behind.body["sample"])) == (25, 27, 20)
    assert {each["id"] for each in behind.body["sample"]} <= {str(each) for each in waiting}
    in_front = desk.ask(TRY, LOST | {"match_order": 1})
    assert in_front.body["matching"] == 26
    after = (desk.door.rows_of_all_tables(), desk.house.rows("SELECT * FROM payments.dead_letters ORDER BY id"))
    assert after == before
    refused(desk.ask(TRY, LOST | {"replaces": str(uuid.uuid4())}), 404, "not_found")


WRONG: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "no name": ({"class_name": " "}, "class_name"),
    "a place before the first": ({"class_name": "x", "match_order": 0}, "match_order"),
    "an event of no kind": ({"class_name": "x", "event_type": "capture"}, "event_type"),
    "an empty pattern": ({"class_name": "x", "gateway_pattern": ""}, "gateway_pattern"),
    "a pattern that ends in its escape": ({"class_name": "x", "gateway_pattern": "a\\"}, "gateway_pattern"),
    "a code pattern that ends in its escape": (
        {"class_name": "x", "failure_code_pattern": "%\\"},
        "failure_code_pattern",
    ),
    "an empty keyword": ({"class_name": "x", "message_keywords": [""]}, "message_keywords[0]"),
    "eleven keywords": ({"class_name": "x", "message_keywords": ["a"] * 11}, "message_keywords"),
    "a delay of more than a day": (
        {"class_name": "x", "auto_replay_delay_seconds": 86_401},
        "auto_replay_delay_seconds",
    ),
    "more than certain": ({"class_name": "x", "min_confidence": 100.1}, "min_confidence"),
    "too exact": ({"class_name": "x", "min_confidence": 85.05}, "min_confidence"),
    "switched on from the start": ({"class_name": "x", "auto_replay_enabled": True}, "auto_replay_enabled"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_a_class_that_is_not_well_formed_is_refused_and_changes_nothing(desk: Desk, case: str) -> None:
    body, field = WRONG[case]
    made = desk.create(class_name="there")["error_class"]
    before = (desk.door.rows_of_all_tables(), desk.ask(ALL).body)
    for route, sent, class_id in (
        (CREATE, body, None),
        (TRY, body, None),
        (CHANGE, body | {"version": 1}, made["id"]),
    ):
        problem = refused(desk.ask(route, sent, class_id), 422, "invalid_input")
        assert [error["field"] for error in problem["errors"]] == [field]
    assert (desk.door.rows_of_all_tables(), desk.ask(ALL).body) == before


def test_a_minimum_with_one_digit_is_taken(desk: Desk) -> None:
    for number in (0, 0.1, 85, 87.3, 99.9, 100):
        made = desk.create(class_name=f"min {number}", min_confidence=number)["error_class"]
        assert made["min_confidence"] == number


def test_another_organizations_classes_are_not_there(desk: Desk, stripe_url: str, secret_store: SecretStore) -> None:
    made = desk.create(**LOST)["error_class"]
    with House(desk.house.owner, stripe_url, secret_store) as other:
        who = desk.door.staff("owner", organization_id=other.organization_id)
        before = desk.ask(ALL).body
        assert desk.ask(ALL, who=who).body == {"error_classes": []}
        refused(desk.ask(FIND, class_id=made["id"], who=who), 404, "not_found")
        for route, body in (
            (CHANGE, LOST | {"version": 1}),
            (RETIRE, {"version": 1}),
            (SWITCH, {"version": 1, "enabled": False}),
        ):
            refused(desk.ask(route, body, made["id"], who=who), 404, "not_found")
        refused(desk.ask(TRY, LOST | {"replaces": made["id"]}, who=who), 404, "not_found")
        refused(desk.ask(ORDER, {"ids": [made["id"]]}, who=who), 409, "conflict")
        assert desk.ask(CREATE, LOST, who=who).status == 201
        assert desk.ask(ALL).body == before


def test_a_shop_keeps_so_many_classes_and_no_more(desk: Desk) -> None:
    desk.house.sql(
        "INSERT INTO payments.error_classes (organization_id, id, match_order, class_name, created_by, created_at)"
        " SELECT :o, gen_random_uuid(), n, 'class ' || n, 'test', now() FROM generate_series(1, 200) AS n",
        o=desk.house.organization_id,
    )
    refused(desk.ask(CREATE, LOST), 409, "conflict")
    assert len(desk.ask(ALL).body["error_classes"]) == 200


SAMPLES: Final = {
    "error_classes/create": 201,
    "error_classes/list": 200,
    "error_classes/test": 200,
    "error_classes/find": 404,
    "error_classes/change": 404,
    "error_classes/order": 409,
    "error_classes/deactivate": 404,
    "error_classes/auto_replay": 404,
    "dead_letters/list": 200,
    "dead_letters/find": 404,
    "dead_letters/assign": 404,
    "dead_letters/investigate": 404,
    "dead_letters/ready": 404,
    "dead_letters/replay": 404,
    "dead_letters/replay_several": 200,
    "dead_letters/discard": 404,
    "dead_letters/metrics": 200,
    "dead_letters/groups": 200,
    "dead_letters/replay_group": 404,
    "dead_letters/find_group_replay": 404,
    "dead_letters/cancel_group_replay": 404,
}


def test_every_sample_gets_the_answer_of_a_shop_without_dead_letters(desk: Desk) -> None:
    for name, status in SAMPLES.items():
        event = desk.door.sample(name)
        assert desk.door.send(event).status == 403, name
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= desk.who
        assert desk.door.send(event).status == status, name
