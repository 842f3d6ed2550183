"""A process that has everything loaded and nothing open, and forks a victim for every errand.

``python -m tests.faults.nursery`` reads errands from standard input and writes what became of them to standard output,
each as a pickle. A victim is a process of its own from its first connection to its end; only the loading is shared.
"""

import os
import pickle
import sys
import traceback
from typing import BinaryIO

import boto3

from holdfast.runtime import Runtime
from holdfast.secrets.store import SecretStore
from holdfast.values.errors import Rejected, Transient
from prove.wire import Wire
from tests.faults.errands import Errand, Remains


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    secrets = SecretStore()
    for service in ("sqs", "events", "sns", "sesv2"):
        boto3.client(service)  # the session keeps a service's models, so a victim's client is made quickly
    while (errand := _next(sys.stdin.buffer)) is not None:
        secrets.read(errand.secret_reference)
        pickle.dump(_send(errand, secrets), answers)
        answers.flush()


def _next(errands: BinaryIO) -> Errand | None:
    try:
        errand: Errand = pickle.load(errands)
    except EOFError:
        return None
    return errand


def _send(errand: Errand, secrets: SecretStore) -> Remains:
    points, points_in = os.pipe()
    result, result_in = os.pipe()
    victim = os.fork()
    if victim == 0:
        try:
            os.close(points)
            os.close(result)
            outcome = _live(errand, secrets, points_in)
            with os.fdopen(result_in, "wb") as pipe:
                pipe.write(outcome)
        except BaseException:  # noqa: BLE001 -- a victim must not run on into the nursery's loop
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(points_in)
    os.close(result_in)
    with os.fdopen(points, "rb") as passed, os.fdopen(result, "rb") as pipe:
        lines = passed.read().decode().splitlines()
        outcome = pipe.read()
    _, status = os.waitpid(victim, 0)
    died_of = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if not died_of and not outcome:
        raise RuntimeError("a victim ended without a word; its own last ones are on standard error")
    answer, error, is_understood = pickle.loads(outcome) if outcome else (None, None, True)
    return Remains(died_of, tuple(lines), answer, error, is_understood)


def _live(errand: Errand, secrets: SecretStore, report: int) -> bytes:
    runtime = Runtime(errand.settings)
    runtime.__dict__["secrets"] = secrets
    runtime.database.engine.connect().close()  # SQLAlchemy's own first queries are not the flow's
    wire = Wire(errand.settings.database, lambda point: os.write(report, f"{point}\n".encode()))
    wire.arm(errand.trap)
    wire.lay()
    try:
        result = errand.step(runtime, lambda: errand.now, *errand.arguments)
    except Exception as error:  # noqa: BLE001 -- what was raised is the errand's outcome
        understood = isinstance(error, (Rejected, Transient))
        return pickle.dumps((None, f"{type(error).__name__}: {error}", understood))
    return pickle.dumps((result, None, True))


if __name__ == "__main__":
    main()
