"""What database tests stand on: one throw-away server a session, a template migrated once, a copy for each test.

    with test_server() as server:                                  # session fixture, 0.5 s
        template = build_template(server, lambda owner: upgrade(owner.url))
        with database(server, template) as owner:                  # module or function fixture, about 50 ms
            owner.execute("SELECT 1")

With DATABASE_URL set the same runs on that server; names are unique, so that several sessions can share it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.postgres import Address, Server, temporary

test_server = temporary
test_server.__test__ = False  # type: ignore[attr-defined]  # its name is no test's


def build_template(server: Server, build: Callable[[Address], object]) -> str:
    """Creates a database, lets `build` fill it (as its owner) and returns its name, to be copied by `database`.

    `build` must close its connections: PostgreSQL copies only a database that nobody uses.
    """
    name = f"template_{uuid.uuid4().hex}"
    build(server.create_database(name))
    return name


@contextmanager
def database(server: Server, template: str | None = None) -> Iterator[Address]:
    """A database of its own, as a copy of `template` when given; dropped at the end with whoever is connected."""
    name = f"test_{uuid.uuid4().hex}"
    owner = server.create_database(name, template=template)
    try:
        yield owner
    finally:
        server.drop_database(name)
