"""Migrations log in as the master in whichever way the cluster accepts: later ones may find its password refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from functions.migrate import app
from holdfast.database.migrations.master_login import LoginRefused, accepted
from holdfast.database.migrations.run import upgrade
from holdfast.settings import settings
from local.postgres import Address
from local.testing import database, throw_away_server


@pytest.fixture
def cluster() -> Iterator[Address]:
    """Yield an empty database of a server that accepts no password from members of ``rds_iam``, as Aurora does not.

    This server rejects their logins altogether. Its master is a superuser, because Aurora's master may grant
    ``rds_iam`` without being a member of it.
    """
    with throw_away_server() as server:
        if not server.is_embedded:
            pytest.skip("the rules of somebody else's server are not ours to write")
        server.admin.execute("CREATE ROLE rds_iam", f"ALTER ROLE {server.master.user} SUPERUSER")
        [[path]] = server.admin.execute("SHOW hba_file")
        everybody = "host all all all scram-sha-256\n"
        Path(path).write_text(f"host all postgres all scram-sha-256\nhost all +rds_iam all reject\n{everybody}")
        server.admin.execute("SELECT pg_reload_conf()")
        with database(server) as owner:
            yield owner


def never() -> str:
    raise AssertionError("nobody asked for it")


def test_the_password_does_until_the_roles_are_made_and_no_longer(cluster: Address) -> None:
    address = make_url(cluster.url).set(drivername="postgresql+pg8000")
    ways = {"its password": lambda: cluster.password, "a token of IAM": never}
    upgrade(accepted(address, ways, None), iam=True, revision="0001")
    with pytest.raises(LoginRefused, match=r"by its password: .*\(28000\); by a token of IAM: .*\(28000\)") as refused:
        accepted(address, {**ways, "a token of IAM": lambda: "a token"}, None)
    assert cluster.password not in str(refused.value)


def test_what_the_server_refuses_is_followed_by_the_next_way(db: Address) -> None:
    """It does not matter what is wrong with the password: here the server accepts what the token provider gives."""
    address = make_url(db.url).set(drivername="postgresql+pg8000")
    taken = accepted(address, {"its password": lambda: "not-it", "a token of IAM": lambda: db.password}, None)
    assert taken.password == db.password
    with pytest.raises(LoginRefused, match=r"holdfast_master in neither way; by its password: .*28P01"):
        accepted(address, {"its password": lambda: "not-it"}, None)


def test_a_server_that_is_not_there_is_no_refusal(db: Address) -> None:
    address = make_url(db.url).set(drivername="postgresql+pg8000", database="not_there")
    with pytest.raises(DBAPIError, match="not_there"):
        accepted(address, {"its password": lambda: db.password, "a token of IAM": never}, None)


@pytest.mark.parametrize("is_refused", [False, True])
def test_the_function_migrates_by_password_and_else_by_a_token_for_the_master(
    db: Address, aws: str, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    """boto3 signs the token. The server does not know IAM, so a password that it accepts takes the token's place."""
    password = "not-it" if is_refused else db.password
    secret = boto3.client("secretsmanager").create_secret(
        Name=f"master-{is_refused}", SecretString=json.dumps({"username": db.user, "password": password})
    )
    for name, value in {
        "DATABASE_HOST": db.host,
        "DATABASE_PORT": str(db.port),
        "DATABASE_NAME": db.database,
        "DATABASE_TLS": "off",
        "DATABASE_MASTER_SECRET_ARN": secret["ARN"],
    }.items():
        monkeypatch.setenv(name, value)
    made: list[str] = []
    sign = app._token

    def token(*whose: object) -> str:
        made.append(sign(*whose))
        return db.password

    monkeypatch.setattr(app, "_token", token)
    monkeypatch.setattr(app, "upgrade", lambda url, **_: made.append(url.password))
    settings.cache_clear()
    try:
        assert app.handler({}, None) == {"upgraded_to": "head"}
    finally:
        settings.cache_clear()
    assert made.pop() == db.password
    assert [f"DBUser={db.user}" in each for each in made] == [True] * is_refused
