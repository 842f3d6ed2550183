"""`python -m artefacts BUILD`: every function in a folder that `sam build` made answers its sample events.

Wrong answers, sizes and imports over budget, and what would be compiled at every start, fail. Cold starts are told
beside that of an empty handler, measured in the same run under the same load, and never fail.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from artefacts.budgets import MEGABYTE
from artefacts.emulator import Emulator, binary, gather_runtime
from artefacts.expectations import LANE, SAMPLES
from artefacts.run import EMPTY, STACK, Build, Outcome, Run
from artefacts.shop import open_shop
from local import sample_events
from local.children import ROOT

EMPTY_EVERY: Final = 8
"""How many functions are started between two starts of the empty handler, to measure both under the same load."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 when every sample was answered as expected and nothing is over budget."""
    parser = argparse.ArgumentParser(prog="artefacts", description=__doc__)
    parser.add_argument("build", type=Path, help="the folder that `sam build` filled, for this machine's processor")
    parser.add_argument("--sam", type=Path, default=ROOT / ".venv-sam", help="where the SAM CLI is installed")
    parser.add_argument("--jobs", type=int, default=2, help="functions that run at once")
    parser.add_argument("--only", nargs="*", default=[], help="these functions alone")
    parser.add_argument("--rounds", type=int, default=0, help="only start them cold, in turns, so many times each")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-artefacts-") as folder:
        work = Path(folder)
        (work / "logs").mkdir()
        emulator = Emulator(binary(options.sam), gather_runtime(work / "runtime"), work / "logs")
        with open_shop(work / "state") as shop:
            run = Run(shop, Build(options.build), emulator)
            if options.rounds:
                print(_rounds(run, options.only or run.functions, options.rounds, work))
                return 0
            outcomes, problems = _run(run, options.only, options.jobs, work)
    print(_table(outcomes))
    problems += [problem for outcome in outcomes for problem in outcome.problems]
    answered = sum(outcome.answered for outcome in outcomes)
    print("\n".join(["", *problems]) if problems else "", end="\n" if problems else "")
    print(f"{answered} samples answered as expected, {len(problems)} problems, {time.monotonic() - begin:.0f} s")
    return 1 if problems else 0


def _run(run: Run, only: Sequence[str], jobs: int, work: Path) -> tuple[list[Outcome], list[str]]:
    samples = {f"{function}/{sample.case}" for function, cases in SAMPLES.items() for sample in cases}
    problems = [f"expectations and events/ differ: {name}" for name in samples ^ set(sample_events.names())]
    problems += [f"template and expectations differ: {name}" for name in set(run.functions) ^ set(SAMPLES)]
    chosen = [name for name in run.functions if name in SAMPLES and (not only or name in only)]
    problems += run.blindfold()
    run.prepare(chosen)
    alone = [name for name in LANE if name in chosen]
    pending: list[Future[Outcome]] = []
    with ThreadPoolExecutor(jobs) as pool:
        for number, name in enumerate(each for each in chosen if each not in LANE):
            if number % EMPTY_EVERY == 0:
                pending.append(pool.submit(run.bare, EMPTY, work / f"empty-{number}"))
            pending.append(pool.submit(run.answers, name))
    # The samples of other functions may still ask for what the archive takes away, so these come last, one by one.
    return [each.result() for each in pending] + [run.answers(name) for name in alone], problems


def _rounds(run: Run, names: Sequence[str], rounds: int, work: Path) -> str:
    """Measure cold starts one at a time, every function once per round, so that all meet the same load."""
    run.prepare(list(names))
    starts: dict[str, Callable[[], Outcome]] = {
        EMPTY: partial(run.bare, EMPTY, work / "empty"),
        STACK: partial(run.bare, STACK, work / "stack"),
        **{name: partial(run.cold, name) for name in names},
    }
    done: dict[str, list[Outcome]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            done[name].append(start())
    base = [each.cold_ms for each in done[EMPTY]]
    lines = [
        f"{'function':<24}{'unzipped MB':>12}{'first answer ms':>24}{'x empty':>20}{'imports ms':>12}{'modules':>9}"
    ]
    for name, outcomes in done.items():
        first, imports = [each.cold_ms for each in outcomes], [each.init_ms for each in outcomes]
        ratios = [mine / empty for mine, empty in zip(first, base, strict=True)]
        lines.append(
            f"{name:<24}{outcomes[0].size_bytes / MEGABYTE:>12.1f}{_spread(first, 0):>24}{_spread(ratios, 1):>20}"
            f"{statistics.median(imports):>12.0f}{outcomes[0].modules:>9}"
        )
    return "\n".join(
        [*lines, f"median [smallest .. largest] of {rounds} rounds; a ratio is to the same round's empty handler"]
    )


def _spread(figures: Sequence[float], digits: int) -> str:
    low, high = min(figures), max(figures)
    return f"{statistics.median(figures):.{digits}f} [{low:.{digits}f} .. {high:.{digits}f}]"


def _table(outcomes: Sequence[Outcome]) -> str:
    empty = sorted((each for each in outcomes if each.function == EMPTY), key=lambda outcome: outcome.cold_ms)
    shown = sorted((each for each in outcomes if each.function != EMPTY), key=lambda outcome: outcome.function)
    base = statistics.median(outcome.cold_ms for outcome in empty)
    lines = [
        f"{'function':<24}{'unzipped MB':>12}{'first answer ms':>17}{'x empty':>9}{'imports ms':>12}{'peak MB':>9}"
    ]
    for outcome in (empty[len(empty) // 2], *shown):
        size, peak = outcome.size_bytes / MEGABYTE, outcome.peak_bytes / MEGABYTE
        times = f"{outcome.cold_ms:>17.0f}{outcome.cold_ms / base:>9.1f}{outcome.init_ms:>12.0f}"
        lines.append(f"{outcome.function:<24}{size:>12.1f}{times}{peak:>9.0f}")
    spread = f"{empty[0].cold_ms:.0f} to {empty[-1].cold_ms:.0f} ms"
    return "\n".join([*lines, f"the empty handler started {len(empty)} times: median {base:.0f} ms, {spread}"])


if __name__ == "__main__":
    sys.exit(main())
