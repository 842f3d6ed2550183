"""``python -m bench`` runs every benchmark briefly; ``python -m bench NAME ...`` runs one with its own options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import archive, capacity, checkout, events, expiry, growth, hot_sku, http, webhooks

BENCHMARKS = {
    "archive": (archive.main, ["--orders", "5000"]),
    "checkout": (checkout.main, ["--rounds", "3", "--orders", "150"]),
    "growth": (growth.main, ["--sizes", "1000", "20000", "--rounds", "2", "--orders", "100"]),
    "hot_sku": (hot_sku.main, ["--rounds", "3", "--seconds", "2"]),
    "capacity": (capacity.main, ["--rounds", "2", "--seconds", "2"]),
    "expiry": (expiry.main, ["--rounds", "2", "--holds", "50000"]),
    "events": (events.main, ["--rounds", "2", "--events", "600"]),
    "webhooks": (webhooks.main, ["--seconds", "6"]),
    "http": (http.main, ["--seconds", "6"]),
}
"""Each with the options of a brief run: a few minutes for all of them."""


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark or all."""
    if not arguments:
        for run, brief in BENCHMARKS.values():
            run(brief)
        return 0
    name, *options = arguments
    if name not in BENCHMARKS:
        print(f"there is no benchmark {name!r}: choose one of {', '.join(BENCHMARKS)}")
        return 2
    BENCHMARKS[name][0](options)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
