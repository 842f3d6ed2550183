"""A built function as Lambda runs it: AWS's runtime client under AWS's runtime interface emulator, without Docker.

The process sees what Lambda would show it and nothing else: the function's folder, its layers, and the packages that
Lambda itself provides (the runtime client and boto3). It cannot see the repository or the developer's environment, so a
package that was left out of an artefact is missing here too. No bytecode is written: `/var/task` and `/opt` are
read-only in Lambda, and every cold start there compiles whatever came without bytecode.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

import psutil
import urllib3

from local.aws import ACCESS
from local.launch import command
from local.postgres import free_port

BROUGHT_BY_LAMBDA: Final = ("awslambdaric", "boto3")
START_ATTEMPTS: Final = 3
"""How often a start is tried: a port that was free may be taken by the time the emulator listens on it."""
READY_TIMEOUT_SECONDS: Final = 20.0
GRACE_SECONDS: Final = 15.0
"""The wait beyond the function's own timeout, which the emulator enforces."""
POLL_SECONDS: Final = 0.01
LOG_TAIL_LINES: Final = 30
_INVOKE: Final = "/2015-03-31/functions/function/invocations"
_MACHINES: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_INIT_ENDED: Final = "INIT REPORT("
_IMPORTED: Final = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


class NotAnswered(AssertionError):
    """The function raised, ended or ran out of time. The message has what it wrote last."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A built function: its folder, and its layers in Lambda's search order."""

    name: str
    folder: Path
    layers: tuple[Path, ...]
    handler: str
    timeout_seconds: int
    memory_mb: int

    @property
    def size_bytes(self) -> int:
        """The size that Lambda counts against its limit: the function and its layers, unzipped."""
        return sum(_size_bytes(folder) for folder in (self.folder, *self.layers))


def _size_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def binary(sam_environment: Path) -> Path:
    """Return the emulator for this machine, which is part of the SAM CLI's package. Raises FileNotFoundError."""
    name = f"aws-lambda-rie-{_MACHINES.get(platform.machine(), platform.machine())}"
    found = sorted(sam_environment.glob(f"lib/python3*/site-packages/samcli/local/rapid/{name}"))
    if sys.platform != "linux" or not found:
        raise FileNotFoundError(
            f"{sam_environment} has no {name}: the emulator runs on Linux, and comes with the SAM CLI"
        )
    return found[0].resolve()


def gather_runtime(folder: Path) -> Path:
    """Link what Lambda's own runtime provides from this environment into `folder`, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in _with_requirements(BROUGHT_BY_LAMBDA):
        for name in {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}:
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(Path(str(package.locate_file(name))).resolve())
    return folder


def _with_requirements(names: Sequence[str]) -> list[Distribution]:
    """Return the distributions with everything they require.

    Requirements for other machines and extras are left out.
    """
    found: dict[str, Distribution] = {}
    left = list(names)
    while left:
        name = re.split(r"[^A-Za-z0-9._-]", left.pop(), maxsplit=1)[0]
        if name not in found:
            found[name] = distribution(name)
            left += [need for need in found[name].requires or () if ";" not in need]
    return list(found.values())


class Sandbox:
    """A running function. Send one event at a time: the emulator dies of two."""

    def __init__(self, artefact: Artefact, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.artefact = artefact
        self.cold_ms: float | None = None
        """The time from the first event, which begins the imports, to its answer."""
        self._process = process
        self._url = f"http://127.0.0.1:{port}{_INVOKE}"
        self._log = log
        self._http = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=5, read=artefact.timeout_seconds + GRACE_SECONDS)
        )

    def invoke(self, event: Any) -> Any:
        """Return the function's answer to an event. Raises NotAnswered."""
        begin = time.perf_counter()
        try:
            said = self._http.request("POST", self._url, body=json.dumps(event).encode()).data
            answer = json.loads(said) if said else None
        except (urllib3.exceptions.HTTPError, json.JSONDecodeError) as problem:
            raise NotAnswered(f"{self.artefact.name}: {problem}\n{self._tail()}") from problem
        if self.cold_ms is None:
            self.cold_ms = (time.perf_counter() - begin) * 1000
        if isinstance(answer, dict) and "errorType" in answer:
            raise NotAnswered(
                f"{self.artefact.name}: {answer['errorType']}: {answer.get('errorMessage')}\n{self._tail()}"
            )
        return answer

    @property
    def init_ms(self) -> float:
        """Return how long the function took to import, in milliseconds, as the emulator reports it.

        Only after the first event.
        """
        told = re.search(r"INIT REPORT\(durationMs: ([\d.]+)\)", self._written())
        return float(told[1]) if told else 0.0

    @property
    def peak_bytes(self) -> int:
        """Return the most memory, in bytes, that the function's process has held."""
        return max((_peak_bytes(child.pid) for child in psutil.Process(self._process.pid).children()), default=0)

    @property
    def imported(self) -> dict[str, int]:
        """Return every module that was imported so far, with the microseconds that it took itself."""
        return {name: int(micros) for micros, name in _IMPORTED.findall(self._written())}

    @property
    def imported_at_init(self) -> dict[str, int]:
        """Return those modules that were imported before the first event reached the handler."""
        before, _, _ = self._written().partition(_INIT_ENDED)
        return {name: int(micros) for micros, name in _IMPORTED.findall(before)}

    def _written(self) -> str:
        return self._log.read_text(errors="replace")

    def _tail(self) -> str:
        lines = [line for line in self._written().splitlines() if not line.startswith("import time:")]
        return "\n".join(lines[-LOG_TAIL_LINES:])


def _peak_bytes(pid: int) -> int:
    with suppress(OSError):
        told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(told[1]) * 1024 if told else 0
    return 0


@dataclass(frozen=True, slots=True)
class Emulator:
    """Starts sandboxes."""

    program: Path
    runtime: Path
    logs: Path

    @contextmanager
    def running(self, artefact: Artefact, environment: Mapping[str, str]) -> Iterator[Sandbox]:
        """Run the function until the end of the block. It is imported at its first event, as in a cold start.

        Call it from a thread that stays alive: Linux ends the function with its thread. Raises NotAnswered when the
        function does not start.
        """
        for attempt in range(1, START_ATTEMPTS + 1):
            port, log = free_port(), self.logs / f"{artefact.name}.log"
            process = self._start(artefact, environment, port, log)
            try:
                if _listens(process, port):
                    yield Sandbox(artefact, process, port, log)
                    return
            finally:
                _end(process)
            if attempt == START_ATTEMPTS:
                raise NotAnswered(f"the emulator of {artefact.name} did not start:\n{log.read_text(errors='replace')}")

    def _start(
        self, artefact: Artefact, environment: Mapping[str, str], port: int, log: Path
    ) -> subprocess.Popen[bytes]:
        # -S: without site-packages. Modules are searched in the working folder, then in PYTHONPATH. Logging every
        # import made no measurable difference to the time of a cold start.
        options = ("-S", "-X", "importtime")
        addresses = ("--runtime-interface-emulator-address", f"127.0.0.1:{port}")
        with log.open("wb") as output:
            return subprocess.Popen(
                command(
                    [
                        str(self.program),
                        *addresses,
                        *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
                        *(sys.executable, *options, "-m", "awslambdaric", artefact.handler),
                    ]
                ),
                cwd=artefact.folder,
                env=self._environment(artefact) | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, artefact: Artefact) -> dict[str, str]:
        version = ".".join(map(str, sys.version_info[:2]))
        return ACCESS | {
            "PATH": os.defpath,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": os.pathsep.join(map(str, (*artefact.layers, self.runtime))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(artefact.folder),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
            "AWS_LAMBDA_FUNCTION_NAME": artefact.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(artefact.timeout_seconds),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(artefact.memory_mb),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the process came to listen. False when it ended instead or took too long."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(POLL_SECONDS)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
