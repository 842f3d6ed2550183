"""How a move becomes a task: who acts, under which idempotency key, about what."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.values.caller import Caller
from prove.actors import Task
from prove.plan import Move
from prove.trap import Step
from prove.world import Request, World

Thing = TypeVar("Thing")


@dataclass(slots=True)
class Focus:
    """What the moves that meet are about. They share it, so that they do meet."""

    order_id: Any = None
    sku: str | None = None
    event_id: str | None = None
    webhook: Any = None
    transfer_id: Any = None
    transfer: Any = None
    dead_letter_id: Any = None
    warehouse: str | None = None
    request: Request | None = None
    task: Task | None = None


@dataclass(slots=True)
class Stage:
    """One move and its dice."""

    world: World
    move: Move
    focus: Focus = field(default_factory=Focus)
    request: Request | None = None
    """The request that the task makes under an idempotency key, if it has one."""
    poison: bool = False
    """Whether the task is to be killed by what it works on."""
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.move.dice)

    def as_app(self, step: Step, *arguments: Any) -> Task:
        """Make a task of a function that serves requests."""
        return self._task("app", step, arguments)

    def as_system(self, step: Step, *arguments: Any) -> Task:
        """Make a task of a schedule."""
        return self._task("system", step, arguments)

    def _task(self, role: str, step: Step, arguments: tuple[Any, ...]) -> Task:
        return Task(role, self.world.now, step, arguments, self.move.dice, self.move.trap, self.move.aws)

    def claim(self, caller: Caller, operation: str, meaning: object) -> Claim:
        """Return a claim under an idempotency key of this move's own."""
        return Claim(caller.actor, operation, f"key-{self.move.dice}", fingerprint_of({"wanted": repr(meaning)}))

    def asked(self, task: Task, claim: Claim) -> Task:
        """Remember the request, so that it can be repeated."""
        self.request = Request(task, claim.caller, claim.operation, claim.key, self.world.now)
        self.world.memory.requests.append(self.request)
        return task

    def choose(self, things: Sequence[Thing], focused: Callable[[Thing], bool] | None = None) -> Thing | None:
        """Choose one of the things: the one that the moves that meet are about, otherwise preferably a late one."""
        if not things:
            return None
        if focused is not None:
            about = [each for each in things if focused(each)]
            if about:
                return about[-1]
        return things[len(things) - 1 - int(self.dice.random() ** 2 * len(things))]


Make = Callable[[Stage], Task | None]
"""Makes the task of a move, or returns ``None`` when there is nothing to do it with."""
