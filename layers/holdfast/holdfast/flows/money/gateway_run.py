"""One run of calls to gateways: how much time it has left, and which accounts do not answer in it.

A slow gateway costs its whole deadline with each call. An account that did not answer several times in a row is skipped
for the rest of the run, so that the others get their turn; the next run asks it again.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from holdfast.gateways.port import GatewayUnreachable, OutcomeUnknown

SILENCES_MAX: Final = 3
"""After this many calls in a row without an answer an account is skipped."""

_logger = logging.getLogger(__name__)


class GatewayRun:
    """What a run of a schedule or of a worker knows about its time and the accounts that it calls."""

    def __init__(self, time_left_seconds: Callable[[], float] = lambda: math.inf) -> None:
        self._time_left_seconds = time_left_seconds
        self._silences: Counter[UUID] = Counter()

    def within(self, time_left_seconds: Callable[[], float]) -> "GatewayRun":
        """Return the same run with another time limit: a task's share of its time."""
        part = GatewayRun(time_left_seconds)
        part._silences = self._silences
        return part

    def has_time(self) -> bool:
        """Return whether another call may be started."""
        return self._time_left_seconds() > 0

    def may_ask(self, gateway_account_id: UUID) -> bool:
        """Return whether the account may be called, that is, whether it is not being skipped."""
        return self._silences[gateway_account_id] < SILENCES_MAX

    @property
    def left_alone(self) -> list[UUID]:
        """The accounts that are skipped for the rest of the run."""
        return [account for account, silences in self._silences.items() if silences >= SILENCES_MAX]

    @contextmanager
    def listening(self, gateway_account_id: UUID) -> Iterator[None]:
        """Wrap a call: note for the account whether it was answered, and let errors pass unchanged."""
        try:
            yield
        except (GatewayUnreachable, OutcomeUnknown):
            self.note(gateway_account_id, is_answered=False)
            raise
        self.note(gateway_account_id, is_answered=True)

    def note(self, gateway_account_id: UUID, *, is_answered: bool) -> None:
        """Record whether the account answered. An answer resets its count of silences."""
        if is_answered:
            self._silences[gateway_account_id] = 0
            return
        self._silences[gateway_account_id] += 1
        if self._silences[gateway_account_id] == SILENCES_MAX:
            _logger.warning(
                "gateway account %s did not answer %d times in a row: it is left alone for the rest of this run",
                gateway_account_id,
                SILENCES_MAX,
            )
