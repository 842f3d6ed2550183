"""A door into a house, for one test or for all of a module."""

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
    """A door into a house of this test's own."""
    yield Door(house)
    use(None)


@pytest.fixture
def desk(door: Door) -> Iterator[Desk]:
    """A manager at the dead letters of a shop with fifty TEE."""
    door.house.add_variant("TEE", stock=50)
    yield Desk(door)
    assert door.house.violations() == []


@pytest.fixture(scope="module")
def shared_door(
    postgres: Server, migrated: str, aws: str, stripe_url: str, secret_store: SecretStore
) -> Iterator[Door]:
    """A door that the tests of a module share, because none of them minds the others: ten TEE and no orders."""
    with database(postgres, migrated) as owner, House(owner, stripe_url, secret_store) as house:
        house.add_variant("TEE", stock=10)
        yield Door(house)
        use(None)
