"""The production around a house, with which it comes to rest after a race."""

import logging

import pytest

from tests.faults.production import Production
from tests.house import House


@pytest.fixture(autouse=True)
def _quiet_emulator(caplog: pytest.LogCaptureFixture) -> None:
    """Silence the AWS emulation, whose line for every request would bury the report of a failure."""
    caplog.set_level(logging.WARNING, "werkzeug")


@pytest.fixture
def production(house: House) -> Production:
    """The schedules and the queue around the house."""
    return Production(house)
