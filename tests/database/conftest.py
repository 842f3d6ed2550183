"""Two shops with rows in every table, shared by the tests that only look or roll back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from local.postgres import Address, Server
from local.testing import database
from tests.database.large_shop import Shop, seed


@dataclass(frozen=True, slots=True)
class TwoShops:
    """A seeded database. Whoever writes to it rolls back."""

    superuser: Address
    a: Shop
    b: Shop


@pytest.fixture
def superuser(postgres: Server, db: Address) -> Address:
    """The test's own database, without row-level security in the way."""
    return replace(postgres.admin, database=db.database)


@pytest.fixture(scope="session")
def shops(postgres: Server, migrated: str) -> Iterator[TwoShops]:
    """A few hundred orders: enough for every table to have rows of both shops."""
    with database(postgres, migrated) as owner:
        superuser = replace(postgres.admin, database=owner.database)
        a, b = seed(superuser, orders=2_000, variants=500, customers=200)
        yield TwoShops(superuser, a, b)


@pytest.fixture(scope="session")
def large_shops(postgres: Server, migrated: str) -> Iterator[TwoShops]:
    """10^5 orders."""
    with database(postgres, migrated) as owner:
        superuser = replace(postgres.admin, database=owner.database)
        a, b = seed(superuser, orders=100_000, variants=30_000, customers=30_000)
        yield TwoShops(superuser, a, b)
