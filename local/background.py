"""What triggers functions other than HTTP: queues and the clock, in one process.

`python -m local.background --plan FILE --sockets FOLDER --aws URL`
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from local.activity import Activity
from local.aws import client
from local.clock import Ticker
from local.lambda_client import Invoker
from local.model import Plan
from local.pollers import Poller, concurrency_of

GRACE_SECONDS = 3.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs until SIGTERM, then gives running invocations a few seconds to end."""
    parser = argparse.ArgumentParser(prog="local.background")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--sockets", type=Path, required=True)
    parser.add_argument("--aws", required=True)
    parser.add_argument("--without-clock", action="store_true")
    parser.add_argument("--pace", type=int, default=1, help="how many times as fast schedules fire")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    activity = Activity()
    sqs = client("sqs", options.aws)

    def send_failure(queue_url: str, record: dict[str, Any]) -> None:
        sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps(record))

    loops: list[Callable[[], None]] = []
    for group, functions in Plan.load(options.plan).groups().items():
        sandboxes = Invoker(options.sockets / f"{group}.sock", max(1, concurrency_of(functions)))
        for function in functions:
            loops += [Poller(function, source, sandboxes, sqs, stop, activity).run for source in function.queues]
            if not options.without_clock:
                loops += [
                    Ticker(function, item, sandboxes, stop, activity, send_failure, options.pace).run
                    for item in function.schedules
                ]
    for loop in loops:
        threading.Thread(target=loop, daemon=True).start()
    stop.wait()
    activity.wait_until_idle(GRACE_SECONDS)
    # End although a long poll may still be under way: what it might receive comes back by itself.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
