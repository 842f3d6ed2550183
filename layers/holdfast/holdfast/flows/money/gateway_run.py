"""One run among gateways: how much time it has left, and which accounts there do not answer.

A gateway that is slow takes its whole deadline with each call. An account that was silent a few times in a row is left
alone for the rest of the run, so that the others get their turn; the next run asks it again.
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
"""So many calls in a row without an answer, and an account is asked nothing more."""

_logger = logging.getLogger(__name__)


class GatewayRun:
    """What a run of a schedule, or of a worker, knows of its time and of the accounts that it asks."""

    def __init__(self, time_left_seconds: Callable[[], float] = lambda: math.inf) -> None:
        self._time_left_seconds = time_left_seconds
        self._silences: Counter[UUID] = Counter()

    def within(self, time_left_seconds: Callable[[], float]) -> "GatewayRun":
        """The same run with another measure of its time: a task's share of it."""
        part = GatewayRun(time_left_seconds)
        part._silences = self._silences
        return part

    def has_time(self) -> bool:
        """Whether another call may be begun."""
        return self._time_left_seconds() > 0

    def may_ask(self, gateway_account_id: UUID) -> bool:
        """Whether the account is worth a call."""
        return self._silences[gateway_account_id] < SILENCES_MAX

    @property
    def left_alone(self) -> list[UUID]:
        """The accounts that are asked nothing more."""
        return [account for account, silences in self._silences.items() if silences >= SILENCES_MAX]

    @contextmanager
    def listening(self, gateway_account_id: UUID) -> Iterator[None]:
        """Around a call: whether it was answered counts for the account, and is raised as it was."""
        try:
            yield
        except (GatewayUnreachable, OutcomeUnknown):
            self.note(gateway_account_id, is_answered=False)
            raise
        self.note(gateway_account_id, is_answered=True)

    def note(self, gateway_account_id: UUID, *, is_answered: bool) -> None:
        """An answer ends a row of silences."""
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
