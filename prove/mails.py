"""What shoppers are told.

The messages of the bus reach the notifications in any order, twice and concurrently; senders are killed, the mail
service is down, mails bounce and shoppers complain.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import uuid5

from prove import shop, steps
from prove.actors import Outcome, Task, run_together
from prove.trap import Among, Deed, Trap
from prove.world import Letter, World

NEWS_MAX: Final = 40
"""How many of the messages are delivered; a seed publishes a hundred or more."""
FEEDBACK_MAX: Final = 3
TURNS_SECONDS: Final = (700, 700, 2_000, 7_300, 22_000, 44_000, 87_000)
"""Seconds between the last ticks: past the lease of a sender and past every delay."""
_TROUBLES: Final = (
    (Deed.KILL_PROCESS, Among.ALL, 12),
    (Deed.KILL_PROCESS, Among.COMMITS, 3),
    (Deed.LOSE_ANSWER, Among.COMMITS, 3),
    (Deed.REFUSE_40001, Among.STATEMENTS, 5),
    (Deed.PAUSE, Among.STATEMENTS, 5),
)
_DUE: Final = "SELECT count(*) FROM notifications.messages WHERE status IN ('pending', 'sending')"


@dataclass(frozen=True, slots=True)
class _News:
    topic: str
    event: Mapping[str, Any]


class Mails:
    """The mail of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = random.Random(f"mails/{world.plan.seed}")
        self._number = 0

    def go_out(self) -> None:
        """Deliver half of the messages, then bounces and complaints, then the other half.

        After that nothing goes wrong any more.
        """
        world = self._world
        news = [_News(each["topic"], each) for each in world.memory.published]
        news = self._dice.sample(news, min(NEWS_MAX, len(news)))
        news += self._dice.sample(news, len(news) // 4)
        half = len(news) // 2
        for each in news[:half]:
            self._tell(each)
        self._come_back()
        for each in news[half:]:
            self._tell(each)
        for seconds in TURNS_SECONDS:
            world.turn(seconds)
            self._do(self._task(steps.resume_mails))
            if not world.value(_DUE):
                break
        self._write_down()

    def _tell(self, news: _News) -> None:
        world, dice = self._world, self._dice
        trap = None
        if dice.random() < 0.3:
            deed, among, at_max = dice.choice(_TROUBLES)
            trap = Trap(dice.randint(1, at_max), deed, among)
        aws = "down" if dice.random() < 0.1 else None
        task = self._task(steps.notify, news.topic, news.event, trap=trap, aws=aws)
        world.counts["action notify"] += 1
        world.turn(dice.choice((0.1, 5, 90)))
        if trap is None or trap.deed is not Deed.PAUSE:
            self._do(task)
            return
        same = replace(task, trap=None, aws=None, dice=f"{task.dice}b")
        outcomes, met = run_together((world.actors[0], task), [(world.actors[1], same)], world.somebody_waits)
        world.counts["together: notify + same"] += met
        for outcome in outcomes:
            self._note(task, outcome)

    def _come_back(self) -> None:
        """Let some mails bounce and some shoppers complain. The service reports each of these twice."""
        world = self._world
        taken = [letter for letter in world.memory.mails if not letter.is_orphan]
        for letter in self._dice.sample(taken, min(FEEDBACK_MAX, len(taken))):
            fate = self._dice.choice(("bounced", "bounced_for_now", "complained"))
            event = _feedback(letter, fate, world.now)
            world.counts[f"outside: mail {fate}"] += 1
            if fate != "bounced_for_now":
                world.memory.unwilling.setdefault(letter.recipient, len(world.memory.mails))
            for _ in range(2):
                self._do(self._task(steps.take_feedback, event))

    def _task(self, step: Any, *arguments: Any, trap: Trap | None = None, aws: str | None = None) -> Task:
        self._number += 1
        name = f"mails/{self._world.plan.seed}/{self._number}"
        return Task("system", self._world.now, step, arguments, name, trap, aws)

    def _do(self, task: Task) -> None:
        actor = self._world.actors[0]
        actor.begin(task)
        self._note(task, actor.finish())

    def _note(self, task: Task, outcome: Outcome) -> None:
        """Note the outcome.

        A sender that died or failed after the mail service took its mail may send that mail again.
        """
        world, known = self._world, len(self._world.memory.mails)
        world.collect()
        world.note(0, task, outcome, None)
        if outcome.killed or outcome.error is not None:
            fresh = world.memory.mails[known:]
            world.memory.mails[known:] = [replace(letter, is_orphan=True) for letter in fresh]
        if outcome.trapped_at is not None and task.trap is not None:
            world.counts[f"fault: {task.step.__name__}, {task.trap.deed}"] += 1

    def _write_down(self) -> None:
        memory, never = self._world.memory, len(self._world.memory.mails)
        rows: Sequence[tuple[object, ...]] = [
            (each.message_id, each.recipient, each.is_orphan, number >= memory.unwilling.get(each.recipient, never))
            for number, each in enumerate(memory.mails)
        ]
        self._world.fill("mails", ("message_id", "recipient", "is_orphan", "is_unwanted"), rows)


def _feedback(letter: Letter, fate: str, now: datetime) -> dict[str, Any]:
    """Return the event as Amazon SES publishes it."""
    at = now.isoformat()
    common = {"timestamp": at, "feedbackId": str(uuid5(shop.ORGANIZATION, f"{fate} {letter.id}"))}
    mail = {"messageId": letter.id, "timestamp": at, "destination": [letter.recipient], "tags": letter.tags}
    if fate == "complained":
        complaint = common | {"complainedRecipients": [{"emailAddress": letter.recipient}]}
        return {"eventType": "Complaint", "complaint": complaint, "mail": mail}
    kind = "Permanent" if fate == "bounced" else "Transient"
    bounce = common | {
        "bounceType": kind,
        "bounceSubType": "General" if fate == "bounced" else "MailboxFull",
        "bouncedRecipients": [{"emailAddress": letter.recipient, "diagnosticCode": "smtp; 550"}],
    }
    return {"eventType": "Bounce", "bounce": bounce, "mail": mail}
