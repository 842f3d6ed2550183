"""``python -m tests.fuzz``: seeds of requests that nobody would send, until the budget is spent.

--seconds   how long to go on (120)
--seed      run this one seed again, to its end
--base      seeds are called BASE-1, BASE-2 ... (default: the day)
"""

import argparse
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TextIO

from tests.fuzz.run import NEVER_REFUSED, NEVER_SUCCEEDS, Finding, Tally, operations, run_seed
from tests.fuzz.stage import open_stage
from tests.fuzz.wire import Log


def main() -> int:
    """The exit status says whether anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed")
    parser.add_argument("--base", default=f"{datetime.now(UTC):%Y%m%d}")
    options = parser.parse_args()
    voice = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    tally, ends = Tally(), time.monotonic() + options.seconds
    begun = time.monotonic()
    with open_stage() as stage:
        log = Log(stage.folder / "log")
        seeds = [options.seed] if options.seed else (f"{options.base}-{number}" for number in range(1, 10_000))
        for seed in seeds:
            voice.write(f"seed {seed}\n")
            run_seed(stage, log, seed, tally, lambda: not options.seed and time.monotonic() > ends)
            if options.seed or time.monotonic() > ends:
                break
        report(tally, voice, time.monotonic() - begun)
    return 1 if tally.findings or uncovered(tally) else 0


def report(tally: Tally, voice: TextIO, seconds: float) -> None:
    """Write what was sent, what came back, and what must not happen."""
    statuses = sum(tally.statuses.values(), Counter[int]())
    said = ", ".join(f"{number} of {status}" for status, number in sorted(statuses.items()))
    told = [
        f"{tally.requests} requests over {len(tally.statuses)} routes in {seconds:.0f} s: {said}",
        f"{tally.rounds} whole seeds; {_counted(tally.kinds)}; {_counted(tally.people)}",
    ]
    for line, number in sorted(tally.writes_of_refusals.items()):
        told.append(f"written by a refusal: {line} ({number})")
    told += [f"NOT REACHED: {line}" for line in uncovered(tally)]
    first: dict[tuple[str, str], list[Finding]] = {}
    for finding in tally.findings:
        first.setdefault((finding.route, finding.wrong[:60]), []).append(finding)
    for (route, _), found in first.items():
        told.append(f"\nFOUND {len(found)} times, first by {found[0].seed}: {route}: {found[0].wrong}\n{found[0].told}")
    voice.write("\n".join([*told, f"{len(first)} faults", ""]))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def uncovered(tally: Tally) -> list[str]:
    """Return the routes that never succeeded or were never refused, and the listed exceptions that turned out to be
    none. Only after two whole seeds."""
    if tally.rounds < 2:
        return []
    told = []
    for operation in operations():
        route = f"{operation.method.upper()} {operation.path}"
        statuses = tally.statuses[route]
        for what, there, excepted in (
            ("2xx", any(s < 300 for s in statuses), route in NEVER_SUCCEEDS),
            ("4xx", any(400 <= s < 500 for s in statuses), route in NEVER_REFUSED),
        ):
            if there == excepted:
                told.append(f"{route} had {'a' if there else 'no'} {what}: {dict(statuses)}")
    return told


if __name__ == "__main__":
    sys.exit(main())
