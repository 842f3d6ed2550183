"""Two shops with rows in every table, shared by the tests that only read or that roll back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from local.postgres import Address, Server
from local.testing import database
from tests.database.large_shop import Shop, seed


@dataclass(frozen=True, slots=True)
class TwoShops:
    """A seeded database. A test that writes to it rolls back."""

    superuser: Address
    a: Shop
    b: Shop


@pytest.fixture
def superuser(postgres: Server, db: Address) -> Address:
    """Return the address of the test's own database for a superuser, whom row-level security does not restrict."""
    return replace(postgres.admin, database=db.database)


@pytest.fixture(scope="session")
def shops(postgres: Server, migrated: str) -> Iterator[TwoShops]:
    """Yield a database of 2,000 orders: enough for every table to have rows of both shops."""
    with database(postgres, migrated) as owner:
        superuser = replace(postgres.admin, database=owner.database)
        a, b = seed(superuser, orders=2_000, variants=500, customers=200)
        yield TwoShops(superuser, a, b)


@pytest.fixture(scope="session")
def large_shops(postgres: Server, migrated: str) -> Iterator[TwoShops]:
    """Yield a database of 10^5 orders."""
    with database(postgres, migrated) as owner:
        superuser = replace(postgres.admin, database=owner.database)
        a, b = seed(superuser, orders=100_000, variants=30_000, customers=30_000)
        yield TwoShops(superuser, a, b)
