"""The way in for the cluster's master user: its password, or a token of IAM, whichever the cluster takes.

Aurora sends every login of a member of ``rds_iam`` to IAM. Whoever makes a role is a member of it (PostgreSQL 16 and
newer), and whoever migrates takes on the owner: from the first migration on the master is a member through the roles
that it made, and its password is refused. Which of both it is depends on the version and on the past, so it is tried.
"""

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Final

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import DBAPIError

_REFUSALS: Final = frozenset({"28000", "28P01"})
"""What PostgreSQL calls a login that it refuses: by its rules ("PAM authentication failed", no line in pg_hba.conf), or
by the password."""


class LoginRefused(Exception):
    """The server took none of the ways in."""


def accepted(address: URL, ways: Mapping[str, Callable[[], str]], ssl_context: SSLContext | None) -> URL:
    """The address with the first password that the server takes, of those that ``ways`` make when their turn comes.

    Raises LoginRefused, with what the server said to each; any other trouble is raised as it is.
    """
    arguments = {} if ssl_context is None else {"ssl_context": ssl_context}
    refusals: list[str] = []
    for way, password in ways.items():
        complete = address.set(password=password())
        engine = create_engine(complete, connect_args=arguments, hide_parameters=True)
        try:
            engine.connect().close()
        except DBAPIError as error:
            said = error.orig.args[0] if error.orig is not None and error.orig.args else None
            if not isinstance(said, dict) or said.get("C") not in _REFUSALS:
                raise
            refusals.append(f"by {way}: {said.get('M', '')} ({said['C']})")
        else:
            return complete
        finally:
            engine.dispose()
    raise LoginRefused(f"the database lets {address.username} in neither way; " + "; ".join(refusals))
