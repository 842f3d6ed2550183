"""A shop at every gateway."""

from collections.abc import Iterator

import pytest

from holdfast.secrets.store import SecretStore
from local.postgres import Address
from tests.gateways.served import ServedStage
from tests.till import Till, open_till


@pytest.fixture
def till(stage: ServedStage, db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[Till]:
    """A house with ten tees and an account at each of the gateways in turn."""
    with open_till(stage, db, stripe_url, secret_store) as opened:
        yield opened
