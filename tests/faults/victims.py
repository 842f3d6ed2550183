"""Sends victims on errands through a nursery, and starts and ends the nursery."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from holdfast.runtime import Runtime
from local.launch import command
from prove.trap import Step, Trap
from tests.faults.errands import Errand, Remains

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 10.0


class Nursery:
    """A child process that forks victims. It ends with this process."""

    def __enter__(self) -> Self:
        environment = os.environ | {"PYTHONPATH": f"{REPOSITORY / 'layers/holdfast'}:{REPOSITORY}"}
        program = [sys.executable, "-m", "tests.faults.nursery"]
        self._process = subprocess.Popen(
            command(program), cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def send(self, errand: Errand) -> Remains:
        """Run an errand to its end, be it its own or the trap's."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        pickle.dump(errand, stdin)
        stdin.flush()
        remains: Remains = pickle.load(stdout)
        return remains


class Victims:
    """Victims that act in the role of a runtime."""

    def __init__(self, nursery: Nursery, secret_reference: str, bell_url: str, clock: Callable[[], datetime]) -> None:
        self._nursery = nursery
        self._secret_reference = secret_reference
        self._bell_url = bell_url
        self._clock = clock

    def send(self, runtime: Runtime, step: Step, arguments: Sequence[Any] = (), trap: Trap | None = None) -> Remains:
        """Let a fresh process do the step with the runtime's settings.

        When this returns, a process that was killed holds no locks any more. PostgreSQL notices only a moment later
        that its client is gone; in production, whoever comes earlier skips what the dead session holds, and a later
        minute makes up for it.
        """
        settings = replace(runtime.settings, outbox_bell_queue_url=self._bell_url)
        errand = Errand(settings, self._secret_reference, self._clock(), step, tuple(arguments), trap)
        remains = self._nursery.send(errand)
        if remains.signal == signal.SIGKILL:
            _wait_until_let_go(runtime)
        return remains


def _wait_until_let_go(runtime: Runtime) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _locks(runtime):
        assert time.monotonic() < deadline, "the dead still hold something"
        time.sleep(0.005)  # there is nothing to wait on: the server sends no notice


def _locks(runtime: Runtime) -> int:
    with runtime.database.transaction(None, now=datetime.now(UTC), actor="system:test") as transaction:
        return int(
            transaction.value(
                """
                SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                 WHERE d.datname = current_database() AND l.pid <> pg_backend_pid()
                """
            )
        )
