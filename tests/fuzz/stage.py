"""What a fuzzed shop runs on: a PostgreSQL, Stripe, AWS, a mail service and an issuer, all of them throw-away."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from moto.server import ThreadedMotoServer

from holdfast.database.migrations.run import upgrade
from holdfast.runtime import use
from holdfast.secrets.store import SecretStore
from local.postgres import Address, Server
from local.testing import build_template, database, throw_away_server
from tests.archive.scenes import archive_environment
from tests.gateways.stripe_stage import running_stripe_server
from tests.house import House
from tests.identity.issuer_server import IssuerServer
from tests.mail.stage import running_post
from tests.premises import ROLE_PASSWORD, make_partitions_around_now

QUIET = {"autovacuum": "off", "statement_timeout": "20s"}


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers of a run."""

    postgres: Server
    template: str
    stripe_url: str
    issuer: IssuerServer
    secrets: SecretStore
    folder: Path

    @contextmanager
    def shops(self) -> Iterator[tuple[House, House]]:
        """Open two empty shops in one new database."""
        with (
            database(self.postgres, self.template) as owner,
            House(owner, self.stripe_url, self.secrets, archive_environment()) as ours,
            House(owner, self.stripe_url, self.secrets, archive_environment()) as theirs,
        ):
            yield ours, theirs
            use(None)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Start everything. Nothing of it is left at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-fuzz-")))
        postgres = stack.enter_context(throw_away_server(settings=QUIET))
        aws = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        aws.start()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        stack.callback(aws.stop)
        host, port = aws.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        stripe_url = stack.enter_context(running_stripe_server("--refund-delay-seconds", "0.1"))
        stack.enter_context(running_post(folder / "mails"))
        issuer = stack.enter_context(IssuerServer(folder))
        yield Stage(postgres, build_template(postgres, _migrate), stripe_url, issuer, SecretStore(), folder)


def _migrate(owner: Address) -> None:
    upgrade(owner.url, role_password=ROLE_PASSWORD)
    make_partitions_around_now(owner)
