"""IAM logins: every connection gets a token of its own, and one client makes them all."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from holdfast.database.engine import _password_source
from holdfast.settings import DatabaseAuthentication, DatabaseSettings


def test_every_connection_gets_a_token_and_one_client_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    made: list[str] = []
    make = boto3.client
    monkeypatch.setattr(boto3, "client", lambda service: made.append(service) or make(service))
    database = DatabaseSettings(
        host="db.example",
        port=5432,
        name="holdfast",
        user="holdfast_app",
        password=None,
        authentication=DatabaseAuthentication.IAM,
        verify_tls=True,
        ca_file=None,
        pool_max_connections=2,
    )
    password = _password_source(database)
    tokens = [password(), password()]
    assert made == ["rds"]
    for token in tokens:
        assert token is not None
        assert token.startswith("db.example:5432/?")
        asked = parse_qs(urlsplit(f"https://{token}").query)
        assert (asked["Action"], asked["DBUser"]) == (["connect"], ["holdfast_app"])
        assert asked["X-Amz-Expires"] == ["900"]
