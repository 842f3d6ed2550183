"""The login of the cluster's master user: by its password or an IAM token, whichever the cluster accepts.

Aurora authenticates every member of ``rds_iam`` by IAM. Whoever creates a role is a member of it (PostgreSQL 16 and
newer), and whoever migrates becomes a member of the owner role. So from the first migration on, the master is a member
of ``rds_iam`` through these roles, and its password is refused. Which of the two applies depends on the version and on
the history of the cluster, so both are tried.
"""

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Final

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import DBAPIError

_REFUSALS: Final = frozenset({"28000", "28P01"})
"""The SQLSTATEs of a refused login: by PostgreSQL's rules ("PAM authentication failed", no entry in pg_hba.conf), or
for a wrong password."""


class LoginRefused(Exception):
    """The server accepted none of the ways to log in."""


def accepted(address: URL, ways: Mapping[str, Callable[[], str]], ssl_context: SSLContext | None) -> URL:
    """Return the address with the first password that the server accepts.

    Each of the ``ways`` produces its password when its turn comes. Raises LoginRefused, with the server's answer to
    each. Any other error is raised as it is.
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
