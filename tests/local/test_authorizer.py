from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from local.authorizer import JwtAuthorizer, Unauthorized
from local.issuer import AUDIENCE, Issuer
from local.model import JwtSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "http://127.0.0.1:8000/issuer"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"), URL)


@pytest.fixture
def authorizer(issuer: Issuer) -> JwtAuthorizer:
    return JwtAuthorizer(JwtSettings(URL, ("another", AUDIENCE)), issuer.public_key)


def test_a_remembered_token_stops_working_when_it_expires(issuer: Issuer, authorizer: JwtAuthorizer) -> None:
    header = f"Bearer {issuer.sign({'sub': 'ada'}, now=NOW, lifetime_seconds=60)}"
    assert authorizer.claims(header, NOW.timestamp())["sub"] == "ada"
    assert authorizer.claims(header, NOW.timestamp() + 59)["sub"] == "ada"
    with pytest.raises(Unauthorized):
        authorizer.claims(header, NOW.timestamp() + 60)


def test_the_word_bearer_may_be_left_out_and_another_scheme_may_not(issuer: Issuer, authorizer: JwtAuthorizer) -> None:
    token = issuer.sign({"sub": "ada"}, now=NOW)
    assert authorizer.claims(token, NOW.timestamp())["sub"] == "ada"
    assert authorizer.claims(f"bearer {token}", NOW.timestamp())["sub"] == "ada"
    for header in (None, "", "Bearer", f"Basic {token}", f"Bearer {'x' * 20_000}"):
        with pytest.raises(Unauthorized):
            authorizer.claims(header, NOW.timestamp())


@pytest.mark.parametrize(
    "changes",
    [{"iss": "http://other"}, {"aud": "other"}, {"exp": None}, {"nbf": NOW + timedelta(hours=1)}, {"exp": "soon"}],
)
def test_issuer_audience_and_times_are_asked_for(
    issuer: Issuer, authorizer: JwtAuthorizer, changes: dict[str, Any]
) -> None:
    claims = {"iss": URL, "aud": AUDIENCE, "exp": NOW + timedelta(hours=1), **changes}
    token = jwt.encode({k: v for k, v in claims.items() if v is not None}, issuer._key, algorithm="RS256")
    with pytest.raises(Unauthorized):
        authorizer.claims(token, NOW.timestamp())


def test_a_token_of_another_key_is_refused(authorizer: JwtAuthorizer) -> None:
    stranger = generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"iss": URL, "aud": AUDIENCE, "exp": NOW + timedelta(hours=1)}
    with pytest.raises(Unauthorized):
        authorizer.claims(jwt.encode(claims, stranger, algorithm="RS256"), NOW.timestamp())


def test_the_key_is_kept_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = Issuer(tmp_path, URL).sign({"sub": "ada"}, now=NOW)
    again = JwtAuthorizer(JwtSettings(URL, (AUDIENCE,)), Issuer(tmp_path, URL).public_key)
    assert again.claims(token, NOW.timestamp())["sub"] == "ada"
    assert (tmp_path / "issuer.pem").stat().st_mode & 0o077 == 0
