"""Kills one step at every point it has; after each, production goes on and the verdict is asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.runtime import Runtime
from prove.trap import Deed, Step, Trap
from tests.faults.errands import Remains
from tests.faults.production import LEASE_OVER_SECONDS, Production
from tests.faults.verdict import Verdict
from tests.faults.victims import Victims

POINTS_MAX: Final = 200
"""A step with more points than this does not end."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A freshly made situation, and the step that is to die in it."""

    step: Step
    arguments: tuple[Any, ...] = ()
    as_system: bool = False
    again: Callable[[], object] | None = None
    """What the caller does when no answer came. ``None``: the caller is gone."""
    check: Callable[[], list[str]] = list
    """Returns what else must be true of this scene in the end and is not."""


@dataclass(slots=True)
class Survey:
    """What was done, and what came of it."""

    points: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def assert_clean(self, *, points_min: int, through: tuple[str, ...]) -> None:
        """Fail with every problem and its point, or when too few points were found.

        Too few are fewer than the step is known to have, or a text in ``through`` that no point contains. So a trap
        that never closes cannot pass for a proof.
        """
        assert not self.problems, "\n".join(self.problems)
        assert len(self.points) >= points_min, self.points
        missing = [words for words in through if not any(words in point for point in self.points)]
        assert not missing, f"no point at {missing} among {self.points}"


class Gauntlet:
    """Runs scenes with a trap at every point of their step."""

    def __init__(
        self, production: Production, victims: Victims, expected_failures: frozenset[str] = frozenset()
    ) -> None:
        self._production = production
        self._victims = victims
        self._verdict = Verdict(production, expected_failures)

    def run(self, make_scene: Callable[[], Scene], deed: Deed = Deed.KILL_PROCESS, *, every: int = 1) -> Survey:
        """Run a scene for every point (or every n-th), until the step ends before it comes to its trap."""
        survey = Survey()
        at = 1
        while at < POINTS_MAX:
            scene = make_scene()
            remains = self._victims.send(self._runtime(scene), scene.step, scene.arguments, Trap(at, deed))
            where = remains.trapped_at or "after the last exchange"
            problems = _unlike(deed, remains)
            if deed is Deed.CRASH_SERVER:
                self._production.until_the_database_answers()
            self._go_on(scene)
            problems += scene.check()
            self._production.until_quiet()
            problems += self._verdict.news()
            survey.problems.extend(f"[{at}: {deed} {where}] {problem}" for problem in problems)
            if remains.trapped_at is None:
                self._production.webhooks_arrive()
                self._production.until_quiet()
                survey.problems.extend(f"[late webhooks] {problem}" for problem in self._verdict.news())
                return survey
            survey.points.append(where)
            at += every
        raise AssertionError(f"the step did not end within {POINTS_MAX} points: {survey.points[-3:]}")

    def _runtime(self, scene: Scene) -> Runtime:
        house = self._production.house
        return house.system if scene.as_system else house.runtime

    def _go_on(self, scene: Scene) -> None:
        self._production.house.clock.advance(seconds=LEASE_OVER_SECONDS)
        if scene.again is not None:
            scene.again()
        self._production.until_quiet()


def _unlike(deed: Deed, remains: Remains) -> list[str]:
    """Return how the deed differs from what was ordered, or what a surviving process raised unexpectedly."""
    if deed is Deed.KILL_PROCESS and remains.trapped_at is not None and remains.signal != 9:
        return [f"the process was not killed: {remains}"]
    if not remains.is_understood:
        return [f"raised {remains.error}"]
    return []
