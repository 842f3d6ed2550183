"""The gateways under test, a plugin of tests/conftest.py. Each test has its own account at a shared server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from holdfast.gateways.calls import connection_pool
from tests.gateways.adyen_stage import AdyenStage
from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.receiver import Receiver
from tests.gateways.served import ServedStage, running_server
from tests.gateways.square_stage import SquareStage
from tests.gateways.stripe_stage import StripeStage, running_stripe_server


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[str]:
    """Yield the base URL of a local Stripe."""
    with running_stripe_server("--refund-delay-seconds", "0.1") as base_url:
        yield base_url


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    """Yield a connection pool as one of our processes has it."""
    connections = connection_pool()
    yield connections
    connections.clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield the receiver of this test's webhooks."""
    with Receiver() as listening:
        yield listening


@pytest.fixture
def stripe_stage(stripe_server: str, pool: urllib3.PoolManager, receiver: Receiver) -> Iterator[StripeStage]:
    """Yield the stage for Stripe, with this test's own account and webhook endpoint."""
    stage = StripeStage(stripe_server, pool, receiver)
    yield stage
    stage.stop_webhooks()


@pytest.fixture(scope="session")
def paypal_server() -> Iterator[str]:
    """Yield the base URL of a local PayPal."""
    with running_server("local.paypal_server", "--refund-delay-seconds", "0.1") as base_url:
        yield base_url


@pytest.fixture
def paypal_stage(
    paypal_server: str, pool: urllib3.PoolManager, receiver: Receiver, tmp_path: Path
) -> Iterator[PayPalStage]:
    """Yield the stage for PayPal, with this test's own client and webhook."""
    stage = PayPalStage(paypal_server, pool, receiver, tmp_path / "roots.pem")
    yield stage
    stage.stop_webhooks()


@pytest.fixture(scope="session")
def square_server() -> Iterator[str]:
    """Yield the base URL of a local Square."""
    with running_server("local.square_server", "--refund-delay-seconds", "0.05") as base_url:
        yield base_url


@pytest.fixture
def square_stage(square_server: str, pool: urllib3.PoolManager, receiver: Receiver) -> Iterator[SquareStage]:
    """Yield the stage for Square, with this test's own seller and webhook subscription."""
    stage = SquareStage(square_server, pool, receiver)
    yield stage
    stage.stop_webhooks()


@pytest.fixture(scope="session")
def adyen_server() -> Iterator[str]:
    """Yield the base URL of a local Adyen."""
    with running_server("local.adyen_server", "--refund-delay-seconds", "0.05") as base_url:
        yield base_url


@pytest.fixture
def adyen_stage(adyen_server: str, pool: urllib3.PoolManager, receiver: Receiver) -> Iterator[AdyenStage]:
    """Yield the stage for Adyen, with this test's own company and webhook."""
    stage = AdyenStage(adyen_server, pool, receiver)
    yield stage
    stage.stop_webhooks()


@pytest.fixture(params=["stripe", "paypal", "square", "adyen"])
def stage(request: pytest.FixtureRequest) -> ServedStage:
    """Return the stage of a gateway; each gateway takes its turn."""
    chosen: ServedStage = request.getfixturevalue(f"{request.param}_stage")
    return chosen
