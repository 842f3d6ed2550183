"""`check-ledger`, `verify-archive` and `refold` with `--dsn`: a restored cluster is judged before anything uses it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from local.__main__ import main
from local.postgres import Address
from local.runtimes import runtime_over
from tests.archive.scenes import archive, archive_environment, delivered, old_at_once
from tests.house import House
from tests.local.tls import tls_in_front_of
from tests.premises import ROLE_PASSWORD
from tests.smoke.test_tls import certificate

Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    return certificate(tmp_path, days=1)


@pytest.fixture
def port(house: House, trusted: Path) -> Iterator[int]:
    """The port at which the house's database speaks TLS."""
    with tls_in_front_of(house.owner, trusted) as listening:
        yield listening


@pytest.fixture
def ask(house: House, port: int, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command of `python -m local` on the house's database. Return its exit code and all that it said."""
    dsn = f"postgresql://holdfast_system:{ROLE_PASSWORD}@127.0.0.1:{port}/{house.owner.database}"

    def run(command: str, *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main([command, "--dsn", dsn, *arguments])
        return code, "".join(capsys.readouterr())

    return run


def test_the_ledger_and_the_payments_of_another_database_are_judged_over_tls(
    house: House, ask: Ask, trusted: Path
) -> None:
    house.add_variant(stock=10)
    house.place()
    code, said = ask("check-ledger", "--ca-file", str(trusted))
    assert (code, "0 levels differ" in said) == (0, True), said
    code, said = ask("refold", "--ca-file", str(trusted))
    assert (code, "1 payments recomputed" in said) == (0, True), said
    house.has_forged_stock = True
    house.sql("UPDATE inventory.stock_levels SET on_hand = on_hand + 1")
    code, said = ask("check-ledger", "--ca-file", str(trusted))
    assert (code, "1 levels differ" in said) == (1, True), said


@pytest.mark.parametrize("command", ["check-ledger", "refold", "verify-archive"])
def test_a_server_that_cannot_be_verified_is_asked_nothing(ask: Ask, command: str) -> None:
    archived = ("--bucket", "b", "--key-secret", "k") if command == "verify-archive" else ()
    code, said = ask(command, *archived)  # the system's roots know nothing of this certificate
    assert code > 0
    assert "CERTIFICATE_VERIFY_FAILED" in said


class TestTheArchive:
    @pytest.fixture
    def environment(self, aws: str) -> dict[str, str]:
        return archive_environment()

    @pytest.fixture
    def house(self, db: Address, stripe_url: str, secret_store: Any, environment: dict[str, str]) -> Iterator[House]:
        with House(db, stripe_url, secret_store, environment) as made:
            yield made

    def test_is_proven_with_the_bucket_and_the_key_that_are_named(
        self, house: House, ask: Ask, trusted: Path, environment: dict[str, str]
    ) -> None:
        house.add_variant(stock=10)
        old_at_once(house)
        delivered(house, 2)
        house.clock.advance(minutes=5)
        assert archive(house).orders == 2
        tls = ("--ca-file", str(trusted))
        named = ("--bucket", environment["ARCHIVE_BUCKET"], "--key-secret", environment["ARCHIVE_KEY_SECRET"])
        code, said = ask("verify-archive", *tls, *named)
        assert (code, "1 batches, 2 orders, the chain is whole" in said) == (0, True), said
        code, said = ask("verify-archive", *tls)
        assert (code, "--bucket" in said) == (1, True), said


def test_with_iam_every_connection_brings_a_token(
    house: House, port: int, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local server knows no IAM: here the token is the role's password, and the DSN has none."""
    database = Address("127.0.0.1", port, "holdfast_system", "", house.owner.database)
    runtime = runtime_over(database, verify_tls=True, ca_file=str(trusted), iam=True)
    monkeypatch.setattr("boto3.client", _Tokens)
    with runtime.database.engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == "holdfast_system"
    runtime.database.engine.dispose()


class _Tokens:
    """boto3's client of RDS, as far as a login uses it."""

    def __init__(self, service: str) -> None:
        assert service == "rds"

    def generate_db_auth_token(self, *, DBHostname: str, Port: int, DBUsername: str) -> str:  # noqa: N803
        assert (DBHostname, DBUsername) == ("127.0.0.1", "holdfast_system")
        assert Port > 0
        return ROLE_PASSWORD
