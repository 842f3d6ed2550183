"""``python -m bench`` runs every benchmark briefly.

``python -m bench NAME ...`` runs one with its own options. ``python -m bench --document`` runs each as
docs/performance.md shows it, and prints Markdown to be put there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from bench import archive, capacity, checkout, cost, events, expiry, growth, hot_sku, http, webhooks
from bench.report import write_as_markdown

BENCHMARKS: Final[Mapping[str, Callable[[Sequence[str]], None]]] = {
    "checkout": checkout.main,
    "http": http.main,
    "cost": cost.main,
    "hot_sku": hot_sku.main,
    "growth": growth.main,
    "capacity": capacity.main,
    "expiry": expiry.main,
    "events": events.main,
    "webhooks": webhooks.main,
    "archive": archive.main,
}
BRIEF: Final[Mapping[str, str]] = {
    "checkout": "--rounds 3 --orders 100 --lines 1 3 10",
    "http": "--seconds 5",
    "cost": "--seconds 5",
    "hot_sku": "--rounds 2 --seconds 2",
    "growth": "--sizes 1000 20000 --levels 3000 30000 --rounds 1 --orders 100",
    "capacity": "--rounds 1 --seconds 2",
    "expiry": "--rounds 1 --holds 50000",
    "events": "--rounds 1 --events 600",
    "webhooks": "--seconds 5 --events-per-second 1500",
    "archive": "--orders 3000",
}
"""Together these take five minutes."""
DOCUMENT: Final[Mapping[str, str]] = {
    "checkout": "--rounds 3 --orders 200",
    "http": "--seconds 10",
    "cost": "--seconds 8",
    "hot_sku": "--rounds 3 --seconds 2",
    "growth": "--sizes 1000 10000 100000 --levels 3000 30000 300000 --rounds 2 --orders 150",
    "capacity": "--rounds 2 --seconds 2",
    "expiry": "--rounds 2 --holds 100000",
    "events": "--rounds 3 --events 1000",
    "webhooks": "--seconds 10 --events-per-second 2000",
    "archive": "--orders 30000",
}
"""Together these take twelve minutes, on a machine that does nothing else."""


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark or all, and return the exit code."""
    if not arguments:
        return _run_all(BRIEF)
    if arguments[0] == "--document":
        write_as_markdown()
        return _run_all(DOCUMENT, arguments[1:])
    name, *options = arguments
    if name not in BENCHMARKS:
        print(f"there is no benchmark {name!r}: choose one of {', '.join(BENCHMARKS)}")
        return 2
    BENCHMARKS[name](options)
    return 0


def _run_all(options: Mapping[str, str], wanted: Sequence[str] = ()) -> int:
    """Run benchmarks one after another and return how many failed. A failure does not stop the others."""
    failed = 0
    for name in wanted or BENCHMARKS:
        print(f"\n`python -m bench.{name} {options[name]}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", flush=True)
        begin = time.monotonic()
        try:
            BENCHMARKS[name](options[name].split())
        except Exception as problem:  # noqa: BLE001 -- told, counted, and the next one runs
            failed += 1
            print(f"   FAILED: {type(problem).__name__}: {problem}")
        print(f"   took {time.monotonic() - begin:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
