"""What the tests run on: a real PostgreSQL, a local Stripe server over HTTP, an AWS emulation, and a shop per test."""

from collections.abc import Iterator
from typing import Final

import pytest
from moto.server import ThreadedMotoServer

from holdfast.database.migrations.run import upgrade
from holdfast.secrets.store import SecretStore
from local.postgres import Address, Server
from local.testing import build_template, database, throw_away_server
from tests.gateways.served import ServedStage
from tests.gateways.stripe_stage import running_stripe_server
from tests.house import House
from tests.premises import ROLE_PASSWORD, make_partitions_around_now
from tests.till import Till, open_till

pytest_plugins = ("tests.gateways.fixtures", "tests.mail.fixtures")


SLOWEST_FIRST: Final = ("tests/journeys/", "tests/faults/", "tests/local/", "tests/races/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest tests first, so that no worker is left alone with them at the end.

    The tests of a file stay with one worker. So do all journeys, because the system that they share is started once.
    """
    last = len(SLOWEST_FIRST)
    items.sort(key=lambda item: next((n for n, at in enumerate(SLOWEST_FIRST) if item.nodeid.startswith(at)), last))
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("journeys" if file.startswith("tests/journeys/") else file))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One throw-away server for the session (one per worker under pytest-xdist)."""
    with throw_away_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> str:
    """The name of a template database with the newest schema."""

    def build(owner: Address) -> None:
        upgrade(owner.url, role_password=ROLE_PASSWORD)
        make_partitions_around_now(owner)

    return build_template(postgres, build)


@pytest.fixture
def db(postgres: Server, migrated: str) -> Iterator[Address]:
    """A database for this test alone, addressed as its superuser."""
    with database(postgres, migrated) as owner:
        yield owner


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of the AWS emulation, which boto3 finds through the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def stripe_url() -> Iterator[str]:
    """The base URL of a local Stripe server, where every house has its own account."""
    with running_stripe_server("--refund-delay-seconds", "0.1") as base_url:
        yield base_url


@pytest.fixture(scope="session")
def secret_store(aws: str) -> SecretStore:
    """One store for the session, because making a client takes longer than a test."""
    return SecretStore()


@pytest.fixture
def house(db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """An organization with two warehouses, nothing to sell yet, and everything that a flow needs."""
    with House(db, stripe_url, secret_store) as made:
        yield made


@pytest.fixture
def till(stage: ServedStage, db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[Till]:
    """A house with ten tees and an account at each of the gateways in turn."""
    with open_till(stage, db, stripe_url, secret_store) as opened:
        yield opened
