"""A house that has an archive."""

from collections.abc import Iterator

import pytest

from holdfast.secrets.store import SecretStore
from local.postgres import Address
from tests.archive.scenes import archive_environment
from tests.house import House


@pytest.fixture
def house(db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """An organization with two warehouses, a hundred tees, a key for its archive and a bucket for what is cold."""
    with House(db, stripe_url, secret_store, archive_environment()) as made:
        made.add_variant(stock=100)
        yield made
