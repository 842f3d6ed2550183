"""Who comes first in a run of a schedule."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.flows.operations.in_turn import in_turn

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize("every_seconds", [60, 300])
@pytest.mark.parametrize("number", [1, 2, 5, 7])
def test_of_n_that_wait_each_is_first_once_in_n_runs(number: int, every_seconds: int) -> None:
    waiting = list(range(number))
    runs = [
        in_turn(waiting, MIDNIGHT + timedelta(seconds=run * every_seconds + 17), every_seconds=every_seconds)
        for run in range(number)
    ]
    assert sorted(run[0] for run in runs) == waiting
    assert all(sorted(run) == waiting for run in runs), "nobody is left out"


def test_nobody_waits() -> None:
    assert in_turn([], MIDNIGHT) == []
