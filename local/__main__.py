"""The command line of the local system: `python -m local run | reset | token ROLE | import-geocodes FILE |
open-shop FILE | refold | check-ledger | archive | verify-archive`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from holdfast.values.errors import HoldfastError
from local.children import ROOT, Child, ChildEnded, Children, Stopped
from local.console import Console, welcome
from local.intrinsics import TemplateError
from local.people import ROLES
from local.postgres import Address
from local.postgres_cluster import PostgresUnavailable
from local.supervisor import AlreadyRunning, Options, only_one, running
from local.system import LocalSystem

if TYPE_CHECKING:
    from holdfast.runtime import Runtime

STATE = ROOT / ".holdfast"


def run(options: argparse.Namespace) -> int:
    """Runs the system until Ctrl-C, SIGTERM, or the end of one of its processes."""
    console = Console(sys.stdout)
    begin = time.monotonic()
    settings = Options(
        state=options.state,
        port=options.port,
        workers=options.workers,
        sandboxes=options.sandboxes,
        pace=options.pace,
        progress=console.step,
    )
    try:
        with running(settings, _catch_signals) as (system, children):
            console.done(f"ready after {time.monotonic() - begin:.1f} s")
            if system.api_url.rsplit(":", 1)[1] != str(options.port):
                console.note(f"port {options.port} is busy; this one took the next free port")
            console.write(welcome(system, console))
            ended = children.wait()
            console.write("")
            if isinstance(ended, Child):
                console.problem(ended.describe_end())
            console.step("stopping")
        console.done("stopped; nothing is left running")
    except Stopped:
        console.done("stopped before it was ready")
        return 130
    except (AlreadyRunning, PostgresUnavailable, TemplateError, ChildEnded, OSError) as problem:
        console.problem(str(problem))
        return 1
    return 1 if isinstance(ended, Child) else 0


def _catch_signals(children: Children) -> None:
    """Treat Ctrl-C, SIGTERM and a closed terminal alike, as a request to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: children.signalled(signal.Signals(received)))


def reset(options: argparse.Namespace) -> int:
    """Deletes the state folder: database, keys, logs. Refuses while a system runs on it."""
    console = Console(sys.stdout)
    state: Path = options.state
    if not state.exists():
        console.done("there is nothing to reset")
        return 0
    try:
        with only_one(state):
            shutil.rmtree(state)
    except (AlreadyRunning, OSError) as problem:
        console.problem(f"{problem}; nothing was reset" if isinstance(problem, AlreadyRunning) else str(problem))
        return 1
    console.done(f"{state} is gone; the next start begins afresh")
    if os.environ.get("DATABASE_URL"):
        console.note("DATABASE_URL is set: the database behind it was not touched")
    return 0


def token(options: argparse.Namespace) -> int:
    """Prints a token, alone on standard output, so that a shell can take it."""
    try:
        system = LocalSystem.load(options.state)
        print(system.token(options.role, subject=options.sub, organization_id=options.organization))
    except ValueError as problem:
        Console(sys.stderr).problem(str(problem))
        return 1
    return 0


def import_geocodes(options: argparse.Namespace) -> int:
    """Imports a file of postal codes into the running system, or the codes that ship with the code."""
    from local import geocodes  # noqa: PLC0415 (the other commands need none of it)

    return _report(
        lambda: (
            geocodes.import_file(LocalSystem.load(options.state), options.file, options.source, options.version),
            True,
        )
    )


def open_shop(options: argparse.Namespace) -> int:
    """Opens a shop in the running system, or brings it to what its file says."""
    from local import shops  # noqa: PLC0415 (the other commands need none of it)

    console = Console(sys.stdout)
    try:
        told = shops.open_from(LocalSystem.load(options.state), options.file)
    except (ValueError, OSError, HoldfastError) as problem:
        for line in shops.explain(problem):
            console.problem(line)
        return 1
    for line in told:
        console.note(line)
    return 0


def refold(options: argparse.Namespace) -> int:
    """Shows the payments that differ from what their events say. Returns 1 if there is any."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 (the other commands need none of it)

    from holdfast.flows.money.refold_payments import Chosen  # noqa: PLC0415 (likewise)
    from local import refold as tool  # noqa: PLC0415 (likewise)

    try:
        with _database(options) as runtime:
            chosen = Chosen(options.payment, options.since)
            return tool.refold(runtime, chosen, options.organization, datetime.now(UTC), print)
    except (ValueError, OSError, PostgresUnavailable, HoldfastError, DBAPIError) as problem:
        Console(sys.stderr).problem(str(problem))
        return 2


@contextmanager
def _database(options: argparse.Namespace, **settings: str) -> Iterator[Runtime]:
    """Opens the database that `--dsn` names with these settings, or that of the local system with its own."""
    from local.runtimes import runtime_of, runtime_over  # noqa: PLC0415 (the other commands need none of it)

    if not options.dsn:
        with runtime_of(LocalSystem.load(options.state)) as runtime:
            yield runtime
        return
    runtime = runtime_over(
        Address.parse(options.dsn),
        verify_tls=not options.no_tls,
        ca_file=str(options.ca_file or ""),
        iam=options.iam,
        settings=settings,
    )
    try:
        yield runtime
    finally:
        runtime.database.engine.dispose()


def check_ledger(options: argparse.Namespace) -> int:
    """Replays every stock movement. The exit code says whether all levels agree."""
    from local import ledger  # noqa: PLC0415 (the other commands need none of it)

    def check() -> tuple[list[str], bool]:
        with _database(options) as runtime:
            return ledger.check(runtime)

    return _report(check)


def verify_archive(options: argparse.Namespace) -> int:
    """Proves an archive. The exit code says whether every part of it is as it was sealed."""
    from local import archive  # noqa: PLC0415 (the other commands need none of it)

    def verify() -> tuple[list[str], bool]:
        if not options.dsn:
            return archive.verify(LocalSystem.load(options.state))
        if not (options.bucket and options.key_secret):
            raise ValueError("with --dsn, name the archive's --bucket and its --key-secret")
        with _database(options, ARCHIVE_BUCKET=options.bucket, ARCHIVE_KEY_SECRET=options.key_secret) as runtime:
            return archive.verify_with(runtime)

    return _report(verify)


def archive_orders(options: argparse.Namespace) -> int:
    """Archives the finished orders of the running system, as if years had passed."""
    from local import archive  # noqa: PLC0415 (the other commands need none of it)

    return _report(lambda: (archive.fill(LocalSystem.load(options.state), options.years), True))


def _report(work: Callable[[], tuple[list[str], bool]]) -> int:
    """Prints the outcome line by line. The exit code says whether all is well."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 (the other commands need none of it)

    console = Console(sys.stdout)
    try:
        told, is_well = work()
    except (ValueError, OSError, PostgresUnavailable, HoldfastError, DBAPIError) as problem:
        console.problem(str(problem))
        return 1
    for line in told:
        console.note(line)
    return 0 if is_well else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Holdfast, whole, on this machine.")
    parser.add_argument("--state", type=Path, default=STATE, help="the folder that keeps everything")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("run", help="run the system until Ctrl-C")
    command.add_argument("--port", type=int, default=8000, help="of the API; the next free one when it is busy")
    command.add_argument("--workers", type=int, default=2, help="processes that speak HTTP")
    command.add_argument("--pace", type=int, default=1, help="how many times as fast schedules fire")
    command.add_argument("--sandboxes", type=int, default=16, help="HTTP requests handled at once")
    command.set_defaults(action=run)
    command = commands.add_parser("reset", help="delete database, keys and logs")
    command.set_defaults(action=reset)
    command = commands.add_parser("token", help="print a token of a person of the demo shop")
    command.add_argument("role", choices=ROLES)
    command.add_argument("--sub", help="another subject")
    command.add_argument("--organization", help="another organization's id")
    command.set_defaults(action=token)
    command = commands.add_parser("import-geocodes", help="import postal codes from a CSV file (.gz as well)")
    command.add_argument("file", type=Path)
    command.add_argument("--source", help="where the data is from; the file's name unless told")
    command.add_argument("--version", default="1", help="the version of the data")
    command.set_defaults(action=import_geocodes)
    command = commands.add_parser("open-shop", help="open a shop, or bring it to what its file says")
    command.add_argument("file", type=Path, help="see docs/deploy.md and events/migrate/open_shop.json")
    command.set_defaults(action=open_shop)
    text = "recompute payments from their events, show what differs"
    command = commands.add_parser("refold", parents=[_elsewhere(os.environ.get("DATABASE_URL"))], help=text)
    command.add_argument("--organization", type=UUID, help="only of this organization")
    command.add_argument("--payment", type=UUID, help="only this payment")
    command.add_argument("--since", type=_instant, help="only payments begun since (ISO 8601)")
    command.set_defaults(action=refold)
    text = "replay every stock movement and compare with the levels"
    command = commands.add_parser("check-ledger", parents=[_elsewhere()], help=text)
    command.set_defaults(action=check_ledger)
    text = "prove the chain, every archived order and every cold file"
    command = commands.add_parser("verify-archive", parents=[_elsewhere()], help=text)
    command.add_argument("--bucket", help="with --dsn: the archive's bucket (boto3's credentials and region)")
    command.add_argument("--key-secret", help="with --dsn: the name of the secret with the archive's key")
    command.set_defaults(action=verify_archive)
    command = commands.add_parser("archive", help="archive what is over, as if years had passed")
    command.add_argument("--years", type=float, default=6, help="after 2 archived, after 5 moved to cold storage")
    command.set_defaults(action=archive_orders)
    options = parser.parse_args(arguments)
    return int(options.action(options))


def _elsewhere(dsn: str | None = None) -> argparse.ArgumentParser:
    """Return the options that name another database than the local system's."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--dsn", default=dsn, help="another database than the local one, postgresql://...")
    options.add_argument("--iam", action="store_true", help="log in with a token of IAM, not with a password")
    tls = options.add_mutually_exclusive_group()
    tls.add_argument("--ca-file", type=Path, help="roots (PEM) of the server's certificate; else the system's")
    tls.add_argument("--no-tls", action="store_true", help="the database speaks no TLS")
    return options


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main())
