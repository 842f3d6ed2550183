"""The development issuer over HTTP."""

from collections.abc import Iterator

import pytest

from tests.identity.issuer_server import IssuerServer


@pytest.fixture(scope="session")
def issuer_for_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IssuerServer]:
    """Yield one issuer for all tests, because making its key takes longer than a test."""
    with IssuerServer(tmp_path_factory.mktemp("issuer")) as server:
        yield server


@pytest.fixture
def issuer(issuer_for_session: IssuerServer) -> IssuerServer:
    """Return the issuer, reset to its normal behavior."""
    issuer_for_session.answers_instead = None
    return issuer_for_session
