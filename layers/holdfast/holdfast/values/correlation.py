"""The id that ties a request to everything it causes: its log lines, and the payment events it stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_current: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)


def correlation_id() -> str | None:
    """Return the id of the request being served in this context, or ``None`` outside of any request."""
    return _current.get()


@contextmanager
def correlated(identifier: str | None) -> Iterator[None]:
    """Attribute everything inside the block to ``identifier``."""
    token = _current.set(identifier)
    try:
        yield
    finally:
        _current.reset(token)
