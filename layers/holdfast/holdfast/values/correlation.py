"""The id that ties a request to everything it causes: its log lines, and the payment events it stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_current: Final[ContextVar[str | None]] = ContextVar("correlation_id", default=None)


def correlation_id() -> str | None:
    """The id of the request being served in this context, or ``None`` outside of any."""
    return _current.get()


@contextmanager
def correlated(identifier: str | None) -> Iterator[None]:
    """Everything inside the block belongs to ``identifier``."""
    token = _current.set(identifier)
    try:
        yield
    finally:
        _current.reset(token)
