"""Many seeds at once, in several processes that each have a server of their own.

A process first hunts its share of the mutations, then runs seeds until the budget is used up.
"""

import itertools
import logging
import multiprocessing
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final

from prove.mutations import BY_NAME
from prove.site import Told, open_site

_FORK: Final = multiprocessing.get_context("fork")
MUTATION_SEEDS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a run takes, or how many seeds it has.

    The limit that is reached first ends the run; a seed that has begun is finished.
    """

    seconds: float
    seeds: int | None = None
    mutation_seconds: float = 40.0
    """The limit for each mutation."""
    hunting: str = "guard"
    """The base of the names of the seeds that mutations are hunted with. It is the same every day, so that catching a
    mutation is not a matter of luck."""


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of a mutation: how many seeds were run, and what caught it."""

    name: str
    seeds: int
    seconds: float
    by: tuple[str, ...]
    """The invariants that were broken. If empty, the mutation was not caught."""
    seed: str


Result = Told | Caught | str
"""The result of a seed, the result of a mutation, or how a process ended that should not have."""


def run_crew(base: str, budget: Budget, mutations: Sequence[str], jobs: int) -> Iterator[Result]:
    """Yield results as they come. Seeds are named ``base-1``, ``base-2`` ..."""
    begun = time.monotonic()
    readers: list[Connection] = []
    processes = []
    for number in range(jobs):
        reader, writer = _FORK.Pipe(duplex=False)
        share = mutations[number::jobs]
        process = _FORK.Process(target=_work, args=(writer, base, number, jobs, budget, share, begun))
        process.start()
        writer.close()
        readers.append(reader)
        processes.append(process)
    while readers:
        for ready in [reader for reader in wait(readers) if isinstance(reader, Connection)]:
            try:
                yield ready.recv()
            except EOFError:
                readers.remove(ready)
    for process in processes:
        process.join()
        if process.exitcode:
            yield f"a process ended with {process.exitcode}"


def run_seed(seed: str, mutation: str | None = None) -> Told:
    """Run one seed in this process."""
    logging.disable(logging.CRITICAL)
    with open_site(BY_NAME[mutation] if mutation else None) as site:
        return site.tell(seed)


def _work(
    results: Connection, base: str, number: int, jobs: int, budget: Budget, mutations: Sequence[str], begun: float
) -> None:
    # The product logs every fault that it survives, which is far too much to print.
    logging.disable(logging.CRITICAL)
    for name in mutations:
        # A process of its own: what a mutation does to the code ends with it.
        mutant = _FORK.Process(target=_hunt, args=(results, name, budget))
        mutant.start()
        mutant.join()
        if mutant.exitcode:
            results.send(f"{name}: its process ended with {mutant.exitcode}")
    mine = budget.seeds and len(range(number, budget.seeds, jobs))
    if mine == 0 or time.monotonic() - begun > budget.seconds:
        return
    names = (f"{base}-{number + 1 + done * jobs}" for done in (range(mine) if mine else itertools.count()))
    while _tell_while_there_is_time(results, names, budget.seconds - (time.monotonic() - begun)):
        pass


def _tell_while_there_is_time(results: Connection, names: Iterator[str], seconds: float) -> bool:
    """Run seeds at one site.

    Return whether more may follow at a new site: a seed that failed with an error may have broken this one.
    """
    begun = time.monotonic()
    with open_site() as site:
        for name in names:
            try:
                told = site.tell(name)
            except Exception:  # noqa: BLE001 -- whatever it was, it is told, and the other seeds are run
                results.send(f"{name} could not be told:\n{traceback.format_exc()}")
                return seconds > time.monotonic() - begun
            results.send(told)
            if time.monotonic() - begun + told.seconds / 2 > seconds:
                return False
    return False


def _hunt(results: Connection, name: str, budget: Budget) -> None:
    """Run seeds until one of them catches the mutation, or until the limit of seeds or of time is reached."""
    begun = time.monotonic()
    seed, number = "", 0
    by: tuple[str, ...] = ()
    with open_site(BY_NAME[name]) as site:
        while number < MUTATION_SEEDS_MAX and time.monotonic() - begun < budget.mutation_seconds:
            number += 1
            seed = f"{budget.hunting}-{number}"
            told = site.tell(seed)
            by = tuple(finding.sentence for finding in told.violated)
            if by:
                break
    results.send(Caught(name, number, time.monotonic() - begun, by, seed))
