"""``make prove``: seeds of random shoppers, gateways, workers, staff, schedules and faults, over the real flows and a
real PostgreSQL; every invariant asked of each; and guards switched off, to see that it is noticed."""

import argparse
import math
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from prove import summary
from prove.crew import Budget, Caught, run_crew, run_seed
from prove.mutations import BY_NAME, MUTATIONS
from prove.site import REPOSITORY, Told

BUDGET_SECONDS: Final = 120.0
ROTATING: Final = 3
KEPT: Final = REPOSITORY / ".prove"
"""The folder for the plan and the story of each seed that failed."""


def main(arguments: Sequence[str]) -> int:
    """Run the proof and return the exit code.

    It is 0 when no sentence was broken, every mutation was caught and nothing that a whole run must contain was
    missing.
    """
    given = _arguments(arguments)
    if given.seed:
        return _replay(given.seed, given.mutate[0] if given.mutate else None)
    mutations = _chosen(given.mutate, given.turn, is_long=given.seeds is not None)
    seconds = given.seconds or (math.inf if given.seeds else BUDGET_SECONDS)
    budget = Budget(seconds, given.seeds, given.mutation_seconds, given.hunt)
    print(
        f"seeds {given.base}-1, {given.base}-2 ...; guards switched off: {', '.join(mutations) or 'none'}", flush=True
    )
    told, caught, broken = _gather(run_crew(given.base, budget, mutations, given.jobs))
    return _conclude(told, caught, broken, is_whole=given.seeds is None or given.seeds >= summary.WHOLE_RUN_SEEDS)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    today = datetime.now(UTC)
    parser = argparse.ArgumentParser(prog="prove", description=__doc__)
    parser.add_argument("--seconds", type=float, help=f"the budget ({BUDGET_SECONDS}; without end for --seeds)")
    parser.add_argument("--seeds", type=int, help="so many seeds, if the budget lasts")
    parser.add_argument("--seed", help="replay this one, and print its story")
    parser.add_argument("--base", default=f"{today:%Y%m%d}", help="what the seeds are called")
    parser.add_argument("--mutate", nargs="*", help="guards to switch off: names, all, or none")
    parser.add_argument("--mutation-seconds", type=float, default=40.0, help="for each of them")
    parser.add_argument("--hunt", default="guard", help="what the seeds are called that mutations are hunted with")
    parser.add_argument("--turn", type=int, default=today.toordinal(), help="which mutations' turn it is")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args(arguments)


def _chosen(wanted: Sequence[str] | None, turn: int, *, is_long: bool) -> list[str]:
    names = [mutation.name for mutation in MUTATIONS]
    if wanted is None and is_long:
        return []
    if wanted is None:
        return [names[(turn * ROTATING + place) % len(names)] for place in range(ROTATING)]
    if list(wanted) == ["all"]:
        return names
    if list(wanted) in (["none"], []):
        return []
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise SystemExit(f"no such mutation: {', '.join(unknown)}; there are {', '.join(names)}")
    return list(wanted)


def _gather(results: Iterable[object]) -> tuple[list[Told], list[Caught], list[str]]:
    told: list[Told] = []
    caught: list[Caught] = []
    broken: list[str] = []
    begun = time.monotonic()
    for result in results:
        seconds = time.monotonic() - begun
        match result:
            case Told():
                told.append(result)
                if result.violated:
                    _keep(result)
                    print("\n".join(summary.violations([result])), flush=True)
                elif len(told) % 10 == 0:
                    print(f"  {seconds:5.0f} s  {len(told)} seeds", flush=True)
            case Caught():
                caught.append(result)
                verdict = f"caught by: {'; '.join(result.by)}" if result.by else "NOT CAUGHT"
                print(f"  {seconds:5.0f} s  {result.name}: {verdict} (seed {result.seed})", flush=True)
            case str():
                broken.append(result)
                print(result, flush=True)
    if told:
        print(f"\n{len(told)} seeds in {seconds:.0f} s: {60 * len(told) / seconds:.1f} a minute")
    return told, caught, broken


def _conclude(told: Sequence[Told], caught: Sequence[Caught], broken: list[str], *, is_whole: bool) -> int:
    counts = summary.add_up(told)
    for lines in (summary.invariants(told), summary.happenings(counts) if told else ()):
        print("\n".join(lines))
    if caught:
        print("\n" + "\n".join(summary.mutations(caught)))
    broken += summary.violations(told)
    broken += [lack for lack in map(summary.too_tame, told) if lack]
    broken += [f"{each.name} was not caught within {each.seeds} seeds" for each in caught if not each.by]
    missing = [name for name in summary.expected() if not counts[name]]
    if missing and is_whole and len(told) >= summary.WHOLE_RUN_SEEDS:
        broken.append(f"never happened: {', '.join(missing)}")
    elif missing and told:
        print(f"\nnot in so few seeds: {', '.join(missing)}")
    print("\n" + ("\n".join(broken) if broken else "nothing was found"))
    return 1 if broken else 0


def _replay(seed: str, mutation: str | None) -> int:
    if mutation is not None and mutation not in BY_NAME:
        raise SystemExit(f"no such mutation: {mutation}")
    told = run_seed(seed, mutation)
    print("\n".join(told.story))
    print("\n".join([*summary.invariants([told]), *summary.violations([told])]))
    print(f"\nthe plan and the story: {_keep(told)}")
    return 1 if told.violated else 0


def _keep(told: Told) -> Path:
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{told.plan.seed}.txt"
    parts = ["\n".join(summary.violations([told])), told.plan.told(), "\n".join(told.story)]
    path.write_text("\n\n".join(parts))
    print(f"  kept in {path}; again: make prove SEED={told.plan.seed}", flush=True)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
