"""The life of a dead letter as a state machine: whatever comes, in any order, the database agrees with the model."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.flows.dead_letters import replay_dead_letter as replaying
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.classify_dead_letters import reclassify_waiting
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.payments.dead_letters import (
    REPLAYABLE_BY_HAND,
    RESOLVED,
    TRANSITIONS,
    WAITING,
    DeadLetterAction,
    DeadLetterStatus,
    status_of,
)
from holdfast.payments.retry_policy import RETRIES_MAX
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, TransitionRefused
from tests.flows.dead_lettering import (
    PERSON,
    add_healing_class,
    break_events,
    class_record,
    dead_letter_of,
    paid_unheard,
    replay,
)
from tests.flows.letters import manager
from tests.house import House

DELAY_SECONDS = 300
LETTERS_MAX = 6
ANY_LETTER = st.integers(0, 4 * LETTERS_MAX - 1)
_S = DeadLetterStatus
_STEPS = {
    DeadLetterAction.INVESTIGATED: _S.INVESTIGATING,
    DeadLetterAction.MADE_READY: _S.READY_FOR_REPLAY,
    DeadLetterAction.DISCARDED: _S.DISCARDED,
}


@dataclass
class Letter:
    """What the model knows of one dead letter."""

    event_id: UUID
    gateway_event_id: str
    id: UUID
    status: DeadLetterStatus
    replay_at: datetime | None
    of_class: bool
    broken: bool = True
    replays: int = 0
    lease_until: datetime | None = None


class DeadLetters(RuleBasedStateMachine):
    """People, the schedule, failures and dying processes act on dead letters."""

    house: House
    person: Caller

    @initialize()
    def begin(self) -> None:
        self.house.sql("UPDATE payments.error_classes SET active = false")
        self.house.sql(
            "UPDATE payments.dead_letters SET status = 'discarded', resolution_notes = 'before', replay_at = NULL,"
            " resolved_at = now(), replay_lease_until = NULL WHERE resolved_at IS NULL"
        )
        self.house.sql("DELETE FROM payments.dead_letter_history")
        self.known: list[Letter] = []
        self.successes, self.failures = 10, 0
        self.active = self.enabled = True
        self.cooled_until: datetime | None = None
        self.house.clock.advance(seconds=1)
        name = f"class {self.house.clock.now.isoformat()}"
        self.class_id = add_healing_class(self.house, name, min_confidence=60)
        for mended in (False, True, True):
            self.bury(mended)
            self.house.clock.advance(seconds=100)

    @property
    def now(self) -> datetime:
        return self.house.clock.now

    def heals(self) -> bool:
        return self.active and self.enabled and (self.cooled_until is None or self.cooled_until <= self.now)

    def waits_as(self, letter_replays: int) -> DeadLetterStatus:
        return status_of(classified=self.active, replays_by_itself=self.heals(), replays=letter_replays)

    def pick(self, number: int, *statuses: DeadLetterStatus) -> Letter:
        """Pick a dead letter, as a rule in one of these statuses, and now and then any other."""
        wanted = [letter for letter in self.known if letter.status in statuses and number % 4]
        return (wanted or self.known)[number % len(wanted or self.known)]

    # --- what happens -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.known) < LETTERS_MAX)
    @rule(mended=st.booleans())
    def bury(self, mended: bool) -> None:
        event = paid_unheard(self.house)
        break_events(self.house, only=event["gateway_event_id"])
        attempts = "UPDATE payments.payment_events SET attempts = :n WHERE id = :id"
        self.house.sql(attempts, n=RETRIES_MAX, id=event["id"])
        assert "dead_lettered" in self.house.work()
        status = self.waits_as(0)
        due = self.now + timedelta(seconds=DELAY_SECONDS) if status is _S.AUTO_REPLAY_SCHEDULED else None
        found = dead_letter_of(self.house, event["id"])
        self.known.append(Letter(event["id"], event["gateway_event_id"], found["id"], status, due, self.active))
        if mended:
            self.mend_letter(self.known[-1])

    @rule(number=ANY_LETTER)
    def mend(self, number: int) -> None:
        self.mend_letter(self.pick(number, *set(DeadLetterStatus) - RESOLVED))

    def mend_letter(self, letter: Letter) -> None:
        self.house.sql("DELETE FROM public.breakage WHERE gateway_event_id = :id", id=letter.gateway_event_id)
        letter.broken = False

    @rule(number=ANY_LETTER)
    def replay_by_hand(self, number: int) -> None:
        letter = self.pick(number, *REPLAYABLE_BY_HAND)
        leased = letter.lease_until is not None and letter.lease_until > self.now
        if letter.status in RESOLVED or leased:
            with pytest.raises(Conflict):
                replay(self.house, letter.id)
        elif letter.status not in REPLAYABLE_BY_HAND:
            with pytest.raises(TransitionRefused):
                replay(self.house, letter.id)
        else:
            ended = replay(self.house, letter.id).status
            letter.replays += 1
            self.end_of_replay(letter, automatic=False)
            assert ended == letter.status

    def end_of_replay(self, letter: Letter, *, automatic: bool, died: bool = False) -> None:
        letter.lease_until = letter.replay_at = None
        succeeded = not letter.broken and not died
        if letter.of_class:
            self.count(letter, succeeded, automatic=automatic)
        if succeeded:
            letter.status = _S.REPLAYED
            return
        # The death of a process is not a failure of this class.
        letter.of_class = self.active and not died
        letter.status = _S.PENDING_REVIEW if letter.of_class else _S.PENDING_CLASSIFICATION

    def count(self, letter: Letter, succeeded: bool, *, automatic: bool) -> None:
        self.successes, self.failures = self.successes + succeeded, self.failures + (not succeeded)
        if self.successes * 100 < 60 * (self.successes + self.failures):
            self.enabled = False
        if automatic and not succeeded:
            self.cooled_until = self.now + timedelta(hours=24)
            self.withdraw(letter)

    def withdraw(self, *but: Letter) -> None:
        for other in self.known:
            if other.status is _S.AUTO_REPLAY_SCHEDULED and other not in but and other.lease_until is None:
                other.status, other.replay_at = _S.PENDING_REVIEW, None

    @rule(seconds=st.sampled_from([0, replaying.LEASE_SECONDS, DELAY_SECONDS, DELAY_SECONDS]))
    def schedule_ticks(self, seconds: int) -> None:
        self.house.clock.advance(seconds=seconds)
        due = sorted(
            (each for each in self.known if each.replay_at is not None and each.replay_at <= self.now),
            key=lambda each: (each.replay_at, each.id),
        )
        auto_replay(self.house.system, self.house.clock)
        for letter in due:
            if letter.status is not _S.AUTO_REPLAY_SCHEDULED:
                continue  # withdrawn by one that failed before it
            if letter.lease_until is not None:
                if letter.lease_until <= self.now:
                    letter.replays += 1
                    self.end_of_replay(letter, automatic=True, died=True)
            elif self.heals():
                letter.replays += 1
                self.end_of_replay(letter, automatic=True)
            else:
                self.withdraw()

    @rule(number=ANY_LETTER)
    def replay_dies(self, number: int) -> None:
        """Commit the claim of a replay whose process then dies."""
        letter = self.pick(number, *REPLAYABLE_BY_HAND, _S.AUTO_REPLAY_SCHEDULED)
        automatic = letter.status is _S.AUTO_REPLAY_SCHEDULED
        if letter.replay_at is not None:
            self.house.clock.now = max(self.now, letter.replay_at)
        allowed = {_S.AUTO_REPLAY_SCHEDULED} if automatic else REPLAYABLE_BY_HAND
        is_free = letter.lease_until is None
        due = letter.replay_at is not None and letter.replay_at <= self.now and self.heals()
        if letter.status not in allowed or not is_free or (automatic and not due):
            return
        runtime, actor = (self.house.system, "system:dlq_retries") if automatic else (self.house.runtime, PERSON)
        with runtime.database.transaction(self.house.organization_id, now=self.now, actor=actor) as opened:
            replaying._claim(opened, letter.id, automatic=automatic)
        letter.replays += 1
        letter.lease_until = self.now + timedelta(seconds=replaying.LEASE_SECONDS)

    @rule(number=ANY_LETTER, action=st.sampled_from(sorted(_STEPS)))
    def person_takes_a_step(self, number: int, action: DeadLetterAction) -> None:
        letter = self.pick(number, *set(DeadLetterStatus) - RESOLVED)
        version = dead_letter_of(self.house, letter.event_id)["version"]
        wanted = _STEPS[action]
        leased = letter.lease_until is not None and letter.lease_until > self.now
        repeated = letter.status is wanted is _S.INVESTIGATING
        expected: type[Exception] | None = None
        if leased:
            expected = Conflict
        elif wanted not in TRANSITIONS[letter.status] and not repeated:
            expected = TransitionRefused
        step = Step(action, letter.id, version, note="seen")
        if expected is not None:
            with pytest.raises(expected):
                take_step(self.house.runtime, self.person, step, self.now)
            return
        take_step(self.house.runtime, self.person, step, self.now)
        letter.status, letter.replay_at, letter.lease_until = wanted, None, None

    @rule(seconds=st.sampled_from([30, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.advance(seconds=seconds)

    @rule(active=st.booleans())
    def people_change_the_class(self, active: bool) -> None:
        self.active = active

        def work(transaction: Any) -> None:
            transaction.execute(
                "UPDATE payments.error_classes SET active = :active WHERE organization_id = :o AND id = :id",
                active=active,
                o=transaction.tenant,
                id=self.class_id,
            )
            reclassify_waiting(transaction)

        self.house.runtime.database.transact(self.house.organization_id, work, now=self.now, actor=PERSON)
        for letter in self.known:
            leased = letter.lease_until is not None and (
                letter.lease_until > self.now or letter.status is _S.AUTO_REPLAY_SCHEDULED
            )
            if letter.status not in WAITING or leased:
                continue
            reason = dead_letter_of(self.house, letter.event_id)["failure_reason"]
            classified = active and "ledger" in reason
            before = letter.status
            letter.of_class = classified
            letter.status = status_of(classified=classified, replays_by_itself=self.heals(), replays=letter.replays)
            if letter.status is not _S.AUTO_REPLAY_SCHEDULED:
                letter.replay_at = None
            elif before is not _S.AUTO_REPLAY_SCHEDULED:
                letter.replay_at = self.now + timedelta(seconds=DELAY_SECONDS)

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_database_is_where_the_model_is(self) -> None:
        for letter in self.known:
            found = dead_letter_of(self.house, letter.event_id)
            told = (found["status"], found["replays"], found["replay_at"], found["replay_lease_until"])
            assert told == (letter.status, letter.replays, letter.replay_at, letter.lease_until), letter
        record = class_record(self.house, self.class_id)
        assert (record["successful_replays"], record["failed_replays"]) == (self.successes, self.failures)
        assert (record["auto_replay_enabled"], record["cooldown_until"]) == (self.enabled, self.cooled_until)

    def teardown(self) -> None:
        assert self.house.violations() == []
        for letter in self.known:
            states = self.house.rows("SELECT state FROM payments.payment_events WHERE id = :id", id=letter.event_id)
            assert (states[0]["state"] == "processed") == (letter.status is _S.REPLAYED)


def test_a_dead_letter_is_always_where_its_model_is(house: House) -> None:
    house.add_variant(stock=1_000)
    DeadLetters.house, DeadLetters.person = house, manager(house)
    run_state_machine_as_test(
        DeadLetters,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
