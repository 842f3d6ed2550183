"""Where seeds run: one process's own PostgreSQL and gateway, and a new world for each seed."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from local.launch import command
from local.postgres import Server
from local.testing import database, throw_away_server
from prove import shop
from prove.mails import Mails
from prove.mutations import Mutation
from prove.plan import Plan, make_plan
from prove.report import Finding, count_transitions, examine, examine_years
from prove.run import Run
from prove.server_log import ServerLog
from prove.settling import Settling
from prove.world import Gateway, World
from prove.years import Years

REPOSITORY: Final = Path(__file__).parents[1]
SERVER_SETTINGS: Final = {
    "synchronous_commit": "on",
    "deadlock_timeout": "20ms",
    "autovacuum": "off",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a seed."""

    plan: Plan
    findings: tuple[Finding, ...]
    counts: Counter[str]
    story: tuple[str, ...]
    seconds: float

    @property
    def violated(self) -> list[Finding]:
        """The invariants that were broken."""
        return [finding for finding in self.findings if finding.is_violated]


class Site:
    """A PostgreSQL server with the template database, and a gateway."""

    def __init__(self, server: Server, gateway: Gateway, folder: Path, mutation: Mutation | None) -> None:
        self._server = server
        self._gateway = gateway
        self._folder = folder
        self._takes_years = mutation is not None and mutation.takes_years
        if mutation is None:
            self._template = shop.build(server)
        else:
            self._template = shop.build(server, mutation.change_schema)
            mutation.change_code()

    def tell(self, seed: str, moves_max: int | None = None) -> Told:
        """Run a seed from its beginning to its report. With ``moves_max``, play only that many of its first moves."""
        begun = time.monotonic()
        plan = make_plan(seed)
        if self._takes_years:
            plan = replace(plan, years=True)
        with self.world(plan) as world:
            run = Run(world, self.restart)
            for move in plan.moves[:moves_max]:
                run.play(move)
            settling = Settling(world)
            settling.come_to_rest()
            Mails(world).go_out()
            world.write_down()
            findings = tuple(examine(world))
            if plan.years and not any(finding.is_violated for finding in findings):
                findings += tuple(examine_years(world, Years(world, settling)))
            refusals = {f"constraint {name}": number for name, number in world.log.refusals().items()}
            counts = world.counts + count_transitions(world) + Counter(refusals)
        return Told(plan, findings, counts, tuple(world.story), time.monotonic() - begun)

    def restart(self) -> None:
        """Stop the server immediately, as a crash would, and start it again."""
        self._server.restart()

    @contextmanager
    def world(self, plan: Plan) -> Iterator[World]:
        """Open a world in which nothing has happened yet."""
        assert self._server.log is not None
        with database(self._server, self._template.name) as owner:
            superuser = replace(self._server.admin, database=owner.database)
            log = ServerLog(self._server.log)
            with World(plan, owner, superuser, self._gateway, self._folder, log) as world:
                yield world


@contextmanager
def open_site(mutation: Mutation | None = None) -> Iterator[Site]:
    """Open a site. Nothing of it is left at the end, except what a mutation did to the code of this process."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-prove-"))
    try:
        with throw_away_server(settings=SERVER_SETTINGS) as server, _gateway() as gateway:
            yield Site(server, gateway, folder, mutation)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _gateway() -> Iterator[Gateway]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.set_inheritable(True)
        program = [sys.executable, "-m", "prove.stripe_server", "--fd", str(listening.fileno())]
        process = subprocess.Popen(command(program), cwd=REPOSITORY, pass_fds=[listening.fileno()])
        port = listening.getsockname()[1]
    try:
        yield Gateway(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(10)
