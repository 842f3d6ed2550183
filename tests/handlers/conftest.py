"""A door into a house, for one test or for all tests of a module."""

from collections.abc import Iterator

import pytest

from holdfast.runtime import use
from holdfast.secrets.store import SecretStore
from local.postgres import Server
from local.testing import database
from tests.handlers.dead_letter_desk import Desk
from tests.handlers.door import Door
from tests.house import House
from tests.identity.conftest import issuer, issuer_for_session

__all__ = ["issuer", "issuer_for_session"]


@pytest.fixture
def door(house: House) -> Iterator[Door]:
    """Yield a door into this test's own house."""
    yield Door(house)
    use(None)


@pytest.fixture
def desk(door: Door) -> Iterator[Desk]:
    """Return a manager who works on the dead letters of a shop that has fifty TEE."""
    door.house.add_variant("TEE", stock=50)
    yield Desk(door)
    assert door.house.violations() == []


@pytest.fixture(scope="module")
def shared_door(
    postgres: Server, migrated: str, aws: str, stripe_url: str, secret_store: SecretStore
) -> Iterator[Door]:
    """Yield a door that a module's tests share, since none disturbs the others. The house has ten TEE and no orders."""
    with database(postgres, migrated) as owner, House(owner, stripe_url, secret_store) as house:
        house.add_variant("TEE", stock=10)
        yield Door(house)
        use(None)
