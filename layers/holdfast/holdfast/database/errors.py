"""Translate errors of PostgreSQL to errors of Holdfast, in one place.

pg8000 reports an error as a mapping: ``C`` is the SQLSTATE, ``n`` the constraint, ``M`` the message. A CHECK violation
arrives as ``ProgrammingError``, so the SQLSTATE decides, not the exception class.
"""

from collections.abc import Callable, Mapping
from typing import Final

from pg8000.exceptions import InterfaceError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast.values.errors import Conflict, HoldfastError, InvalidInput, Transient

SERIALIZATION_FAILURES: Final = frozenset({"40001", "40P01"})
STALE_FACTS: Final = "HF001"
TRANSITION_REFUSED: Final = "HF002"
SEAL_REFUSED: Final = "HF003"
_TIMEOUTS: Final = frozenset({"55P03", "57014", "25P03"})
_RESTARTING: Final = frozenset({"57P01", "57P02", "57P03", "53300"})
# NUL, and halves of surrogate pairs: JSON can express them, PostgreSQL cannot store them.
_UNSTORABLE_TEXT: Final = frozenset({"22021", "22P05"})
_CONSTRAINT_VIOLATIONS: Final = frozenset({"23505", "23514", "23P01", "23503"})


class SerializationFailure(Transient):
    """Two transactions conflicted so that only one can succeed: replay the whole transaction."""


class StaleFacts(Transient):
    """The facts behind a decision changed before it was written: read and decide again. Nothing was written."""


class ConnectionLost(Transient):
    """The connection broke, or the server is restarting or accepts no more connections.

    If a COMMIT was under way, its outcome is unknown: look it up, do not assume it.
    """


class DatabaseBusy(Transient):
    """A lock or a statement took longer than its timeout, or every connection of the process is in use."""


class ConstraintViolated(HoldfastError):
    """A named constraint refused a write, and no business error is defined for it: a bug, unless a flow expects it."""

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(f"{constraint}: {message}")
        self.constraint = constraint


# Constraints that a caller can run into, with errors that are meant for that caller.
_BUSINESS_ERRORS: Final[Mapping[str, Callable[[], HoldfastError]]] = {
    "payments_one_open_attempt": lambda: Conflict("a payment of this order is already under way"),
    "payments_attempt_unique": lambda: Conflict("a payment of this order was just started"),
    "payments_refunds_within_captured": lambda: Conflict("refunds would exceed what was captured"),
    "customers_auth_subject_unique": lambda: StaleFacts("the customer was registered at the same instant"),
    "dead_letters_no_end_during_a_replay": lambda: Conflict("the dead letter is being replayed at this moment"),
    "error_classes_auto_replay_is_earned": lambda: Conflict(
        "auto-replay takes ten replays that succeeded and the class's minimum of confidence"
    ),
    "warehouses_code_unique": lambda: Conflict("another warehouse has this code"),
    "order_operations_one_running": lambda: Conflict("this operation is already under way"),
}


_BY_STATE: Final[Mapping[str, Callable[[str, str], HoldfastError]]] = {
    **dict.fromkeys(SERIALIZATION_FAILURES, lambda _, message: SerializationFailure(message, retry_after_seconds=1)),
    **dict.fromkeys(_TIMEOUTS, lambda _, message: DatabaseBusy(message, retry_after_seconds=1)),
    **dict.fromkeys(_RESTARTING, lambda _, message: ConnectionLost(message, retry_after_seconds=2)),
    **dict.fromkeys(_UNSTORABLE_TEXT, lambda _, __: InvalidInput("a text has characters that cannot be stored")),
    **dict.fromkeys(_CONSTRAINT_VIOLATIONS, ConstraintViolated),
    STALE_FACTS: lambda _, message: StaleFacts(message, retry_after_seconds=1),
    TRANSITION_REFUSED: ConstraintViolated,
    SEAL_REFUSED: ConstraintViolated,
}


def translate(error: BaseException) -> BaseException:
    """Return the Holdfast error for a database error. Any other exception is returned unchanged."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, InterfaceError) and "failed transaction" in str(origin):
        return error  # a flow continued after a failed statement: a bug, and nothing was committed
    if isinstance(origin, PoolTimeout):
        return DatabaseBusy("every connection of this process is in use", retry_after_seconds=1)
    if isinstance(origin, (InterfaceError, OSError)):
        return ConnectionLost(str(origin) or type(origin).__name__, retry_after_seconds=1)
    report = origin.args[0] if origin is not None and origin.args and isinstance(origin.args[0], dict) else None
    if report is None:
        return error
    state, constraint, message = report.get("C", ""), report.get("n", ""), report.get("M", "")
    if constraint in _BUSINESS_ERRORS:
        return _BUSINESS_ERRORS[constraint]()
    make = _BY_STATE.get(state)
    return error if make is None else make(constraint, message)
