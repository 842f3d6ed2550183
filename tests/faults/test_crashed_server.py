"""PostgreSQL itself dies under a flow and comes back: what it acknowledged is there, and nothing else."""

from collections.abc import Iterator

import pytest

from holdfast.database.migrations.run import upgrade
from holdfast.secrets.store import SecretStore
from local.postgres import Address, Server
from local.testing import build_template, database, throw_away_server
from prove.trap import Deed
from tests.faults.gauntlet import Gauntlet
from tests.faults.production import Production
from tests.faults.scenes import cancellation_of_a_paid_order, checkout, event_of_a_payment
from tests.faults.settings import HEAVY
from tests.faults.victims import Nursery, Victims
from tests.house import House
from tests.premises import ROLE_PASSWORD, make_partitions_around_now

EVERY = 1 if HEAVY else 5


@pytest.fixture(scope="module")
def crashing_server() -> Iterator[Server]:
    """A server for this module alone, which keeps what it acknowledges when its processes are killed."""
    with throw_away_server(settings={"synchronous_commit": "on"}) as server:
        if not server.is_embedded:
            pytest.skip("the server of DATABASE_URL is not ours to crash")
        yield server


@pytest.fixture
def shaken(crashing_server: Server, stripe_url: str, aws: str, secret_store: SecretStore) -> Iterator[House]:
    """A house on that server."""

    def build(owner: Address) -> None:
        upgrade(owner.url, role_password=ROLE_PASSWORD)
        make_partitions_around_now(owner)

    template = build_template(crashing_server, build)
    with database(crashing_server, template) as owner, House(owner, stripe_url, secret_store) as house:
        yield house


# pg8000 leaves the socket of a refused login to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flow_whose_server_crashes_under_it_is_finished_once(shaken: House, nursery: Nursery) -> None:
    production = Production(shaken)
    victims = Victims(nursery, shaken.secret_reference, production.bell_url, shaken.clock)
    shaken.add_variant(stock=1_000)
    gauntlet = Gauntlet(production, victims)
    for make_scene, points_min in (
        (lambda: checkout(shaken, returns=True), 3),
        (lambda: event_of_a_payment(shaken), 2),
        (lambda: cancellation_of_a_paid_order(shaken, repeats=True), 5),
    ):
        survey = gauntlet.run(make_scene, Deed.CRASH_SERVER, every=EVERY)
        survey.assert_clean(points_min=points_min, through=())
