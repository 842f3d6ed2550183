"""A nursery for victims, and the production around one house."""

import logging
from collections.abc import Iterator

import pytest

from tests.faults.production import Production
from tests.faults.victims import Nursery, Victims
from tests.house import House
from tests.mail.stage import Post, running_post


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """A mail service that starts before the nursery, since victims find it through the environment."""
    with running_post(tmp_path_factory.mktemp("mails")) as running:
        yield running


@pytest.fixture(scope="session")
def nursery(aws: str, office: Post) -> Iterator[Nursery]:
    """One nursery for the session, because loading takes a second and a fork almost none."""
    with Nursery() as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet_emulator(caplog: pytest.LogCaptureFixture) -> None:
    """Silence the AWS emulation, whose line for every request would bury the report of a failure."""
    caplog.set_level(logging.WARNING, "werkzeug")


@pytest.fixture
def production(house: House) -> Production:
    """The schedules and the queue around the house."""
    return Production(house)


@pytest.fixture
def victims(nursery: Nursery, production: Production) -> Victims:
    """Processes that act for the house."""
    house = production.house
    return Victims(nursery, house.secret_reference, production.bell_url, house.clock)
