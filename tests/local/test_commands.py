"""`python -m local`: the whole product is started, used, broken and stopped as a person would do it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from local.supervisor import AlreadyRunning, only_one

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
ENVIRONMENT = CLEAN | {"PYTHONPATH": f"{ROOT / 'layers' / 'holdfast'}:{ROOT}"}


class Running:
    """`python -m local run` as the leader of its own process group, as when a terminal starts it."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.log = state.parent / f"{state.name}.log"
        command = [sys.executable, "-m", "local", "--state", str(state), "run", "--sandboxes", "2", *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_said(self, text: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.said:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
                raise AssertionError(self.said)
            assert time.monotonic() < deadline, self.said

    def family(self) -> list[psutil.Process]:
        """Return all processes that it started, including sandboxes and the database's."""
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return children

    def child(self, text: str) -> psutil.Process:
        return next(child for child in self.family() if text in " ".join(child.cmdline()))


Start = Callable[..., Running]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(state: Path) -> Iterator[Start]:
    """Yield a function that starts systems, and make sure that none outlives the test."""
    started: list[Running] = []

    def run(*arguments: str) -> Running:
        started.append(Running(state, *arguments))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


def assert_gone(family: list[psutil.Process], seconds: float = 10) -> None:
    _, alive = psutil.wait_procs(family, seconds)
    assert [process.cmdline() for process in alive] == []


def test_the_printed_curl_places_an_order_ctrl_c_leaves_nothing_and_the_next_start_is_quick(
    start: Start, state: Path
) -> None:
    running = start("--port", "0")
    running.wait_until_said("/v1/orders -H")
    printed = re.search(r"^[ \t$]*(curl (?:.*\\\n)*.*)$", running.said, re.MULTILINE)
    assert printed is not None
    assert "\x1b" not in running.said
    for _ in range(2):  # the second time, the answer of the first is repeated
        answer = subprocess.run(["bash", "-c", printed[1]], capture_output=True, text=True, check=False, timeout=30)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert '"order_number"' in answer.stdout
    family = running.family()
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(10) == 0
    assert_gone(family)
    begin = time.monotonic()
    again = start("--port", "0")
    again.wait_until_said("/v1/orders -H")
    assert time.monotonic() - begin < 10
    again.process.terminate()
    assert again.process.wait(10) == 0


def test_a_child_that_dies_is_named_and_everything_stops(start: Start) -> None:
    running = start("--port", "0")
    running.wait_until_said("/v1/orders -H")
    family = running.family()
    running.child("local.aws").kill()
    assert running.process.wait(15) == 1
    assert "aws was killed by SIGKILL" in running.said
    assert_gone(family)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_even_a_killed_supervisor_leaves_nothing_behind(start: Start) -> None:
    running = start("--port", "0")
    running.wait_until_said("/v1/orders -H")
    family = running.family()
    running.process.kill()
    assert_gone(family)


def test_ctrl_c_during_the_start_leaves_nothing_behind(start: Start) -> None:
    running = start("--port", "0")
    running.wait_until_said("schema")
    family = running.family()
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(15) == 130
    assert_gone(family)


def test_a_busy_port_is_left_to_its_owner(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        running = start("--port", str(port))
        running.wait_until_said("/v1/orders -H")
        assert f"port {port} is busy" in running.said
        running.process.terminate()
        running.process.wait(10)


def test_one_state_folder_runs_one_system(state: Path, start: Start) -> None:
    state.mkdir()
    with only_one(state):
        running = start("--port", "0")
        assert running.process.wait(READY_SECONDS) == 1
        assert f"runs already (process {os.getpid()})" in running.said
        with pytest.raises(AlreadyRunning), only_one(state):
            raise AssertionError("not reached")


def local(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local", "--state", str(state), *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)


def test_reset_deletes_the_state_but_not_under_a_running_system(state: Path) -> None:
    assert "nothing to reset" in local(state, "reset").stdout
    state.mkdir()
    (state / "something").touch()
    with only_one(state):
        refused = local(state, "reset")
        assert (refused.returncode, (state / "something").exists()) == (1, True)
    assert local(state, "reset").returncode == 0
    assert not state.exists()


def test_a_token_before_the_first_start_says_what_to_do(state: Path) -> None:
    answer = local(state, "token", "customer")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "make run" in answer.stderr
