"""The basis of database tests: one throw-away server per session, a template migrated once, a copy for each test.

    with throw_away_server() as server:                                  # session fixture, 0.5 s
        template = build_template(server, lambda owner: upgrade(owner.url))
        with database(server, template) as owner:                  # module or function fixture, about 50 ms
            owner.execute("SELECT 1")

With DATABASE_URL set, the same runs on that server. Names are unique, so that several sessions can share it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.postgres import Address, Server, running

MEMORY = Path("/dev/shm")  # noqa: S108 -- a folder of its own is made in there, as in any temporary folder
MEMORY_MIN_BYTES = 3 * 1024**3


def _memory() -> Path | None:
    """Return a folder that lies in memory, if this machine has one with enough room."""
    try:
        room_bytes = shutil.disk_usage(MEMORY).free if os.access(MEMORY, os.W_OK | os.X_OK) else 0
    except OSError:
        return None
    return MEMORY if room_bytes >= MEMORY_MIN_BYTES else None


@contextmanager
def throw_away_server(*, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A throw-away server without fsync in a temporary folder, for one test session. It is gone at the end.

    It lies in memory where there is room. A test's database consists of a thousand small files, and ext4 takes half a
    second to create them while it remembers those of the database before (it does not reuse an inode for some seconds).
    """
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=_memory()))
    try:
        with running(folder, durable=False, settings=settings) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build_template(server: Server, build: Callable[[Address], object]) -> str:
    """Creates a database, lets `build` fill it (as its owner) and returns its name, to be copied by `database`.

    `build` must close its connections: PostgreSQL copies only a database that nobody uses.
    """
    name = f"template_{uuid.uuid4().hex}"
    build(server.create_database(name))
    return name


@contextmanager
def database(server: Server, template: str | None = None) -> Iterator[Address]:
    """A database of its own, as a copy of `template` when given. It is dropped at the end, whoever is connected."""
    name = f"test_{uuid.uuid4().hex}"
    owner = server.create_database(name, template=template)
    try:
        yield owner
    finally:
        server.drop_database(name)
