"""Several people and the schedule want to decide about the same dead letters at the same time."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from holdfast.flows.dead_letters.change_error_classes import Proposal, create_error_class, order_error_classes
from holdfast.flows.dead_letters.replay_dead_letters import replay_one
from holdfast.flows.dead_letters.replay_group import Rate, advance_group_replays, start_group_replay
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.payments.dead_letters import DeadLetterAction, DeadLetterStatus
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller
from tests.flows.dead_lettering import add_class, buried, mend_events
from tests.flows.letters import group_replays, letter, manager, put_letter
from tests.house import House
from tests.races.crowd import crowd_of, rush, tally

ROUNDS = 8


def step(runtime: Runtime, house: House, who: Caller, letter_id: UUID, action: DeadLetterAction) -> Callable[[], Any]:
    """Return a job by which one person takes a step on the dead letter as it was first seen."""
    wish = Step(action, letter_id, 1, note="seen", assignee=who.subject)
    return lambda: take_step(runtime, who, wish, house.clock())["status"]


def test_of_all_who_decide_at_once_one_does_and_the_others_are_told(house: House) -> None:
    people = [manager(house, f"m{number}") for number in range(8)]
    actions = [DeadLetterAction.DISCARDED, DeadLetterAction.ASSIGNED, DeadLetterAction.INVESTIGATED] * 3
    with crowd_of(house, 8) as runtime:
        for number in range(ROUNDS):
            found = put_letter(house, status=DeadLetterStatus.PENDING_REVIEW)
            chosen = actions[number % 3 :]
            jobs = [step(runtime, house, who, found, act) for who, act in zip(people, chosen, strict=False)]
            outcomes = tally(rush(jobs))
            assert outcomes["Conflict"] == len(jobs) - 1, outcomes
            assert letter(house, found)["version"] == 2
            assert (
                house.value("SELECT count(*) FROM payments.dead_letter_history WHERE dead_letter_id = :id", id=found)
                == 1
            )


def test_a_dead_letter_is_replayed_or_discarded_and_never_both(house: House) -> None:
    house.add_variant(stock=20)
    people = [manager(house, f"m{number}") for number in range(6)]
    add_class(house)
    with crowd_of(house, 6) as runtime:
        for _ in range(4):
            found = buried(house)
            mend_events(house)
            jobs: list[Callable[[], Any]] = [
                partial(_replay, runtime, house, people[0], found["id"]),
                partial(_replay, runtime, house, people[1], found["id"]),
                *(step(runtime, house, who, found["id"], DeadLetterAction.DISCARDED) for who in people[2:]),
            ]
            outcomes = tally(rush(jobs))
            won = outcomes["replayed"] + outcomes["discarded"]
            assert won == 1, outcomes
            assert outcomes.keys() <= {"replayed", "discarded", "Conflict", "TransitionRefused"}, outcomes
            ended = letter(house, found["id"])
            assert outcomes[ended["status"]] == 1
            event = house.rows("SELECT state FROM payments.payment_events WHERE id = :id", id=found["event_id"])
            assert (event[0]["state"] == "processed") == (ended["status"] == "replayed")
    assert house.violations() == []


def _replay(runtime: Runtime, house: House, who: Caller, letter_id: UUID) -> str:
    return str(replay_one(runtime, who, letter_id, None, house.clock)["result"]["status"])


def test_a_group_is_asked_for_once_and_its_minute_is_taken_once(house: House) -> None:
    people = [manager(house, f"m{number}") for number in range(6)]
    for _ in range(8):
        put_letter(house, status=DeadLetterStatus.PENDING_REVIEW)
    with crowd_of(house, 6) as runtime, crowd_of(house, 6, as_system=True) as system:
        jobs = [
            partial(start_group_replay, runtime, who, "0123456789abcdef", Rate(2, 8), house.clock, lambda: 0.0)
            for who in people
        ]
        outcomes = rush(jobs)
        assert sum(isinstance(each, dict) for each in outcomes) == 1, tally(outcomes)
        house.clock.advance(minutes=1)
        rush([partial(advance_group_replays, system, house.clock, lambda: 60.0)] * 6)
    # The payment is unknown, so the first replay of the only slice that ran fails again and stops the group.
    assert [state for state, _, _ in group_replays(house)] == ["stopped"]
    assert house.value("SELECT sum(replays) FROM payments.dead_letters") == 1


def test_classes_made_and_ordered_at_once_keep_names_and_places_apart(house: House) -> None:
    boss = manager(house)
    waiting = [put_letter(house) for _ in range(3)]
    with crowd_of(house, 8) as runtime:

        def make(name: str) -> str:
            proposal = Proposal(name, None, 1, None, None, None, (), 300, 85.0)
            return str(create_error_class(runtime, boss, proposal, house.clock())["error_class"]["id"])

        outcomes = rush([partial(make, f"class {number % 6}") for number in range(8)])
        made = [each for each in outcomes if isinstance(each, str)]
        assert len(made) == 6, tally(outcomes)
        assert tally(outcomes)["Conflict"] == 2
        ids = [UUID(each) for each in made]
        orders = [ids, ids[::-1]] * 4
        ordered = rush([partial(order_error_classes, runtime, boss, each, house.clock()) for each in orders])
        assert all(isinstance(each, dict) for each in ordered), tally(ordered)
    rows = house.rows("SELECT id, match_order FROM payments.error_classes ORDER BY match_order")
    assert [row["match_order"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["id"] for row in rows] in (ids, ids[::-1])
    assert {letter(house, each)["error_class_id"] for each in waiting} == {rows[0]["id"]}
