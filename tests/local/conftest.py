"""A small sample application (tests/local/sample), run by the real local system."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.children import Children
from local.issuer import Issuer
from local.people import Shop
from local.supervisor import Options, running
from local.system import LocalSystem

SAMPLE = Path(__file__).parent / "sample" / "template.yaml"
DEMO = Shop("01930000-0000-7000-8000-000000000001", "pk_x", "hook", "SKU-1", {"customer": "ada", "owner": "o"}, "a@b.c")


def no_schema(_: LocalSystem) -> None:
    """Migrate nothing: the sample has no database of its own."""


def demo_people(_: LocalSystem) -> Shop:
    """Return the sample's people; it has nothing else of a shop."""
    return DEMO


def sample_options(state: Path, **changes: Any) -> Options:
    """Return the options with which the tests run the sample: on any port, with few processes."""
    small: dict[str, Any] = {"port": 0, "workers": 2, "sandboxes": 4, "durable": False, "template": SAMPLE}
    return Options(state=state, migrate=no_schema, seed=demo_people, **(small | changes))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read completely."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Call = Callable[..., Answer]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalSystem, Children]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with running(sample_options(tmp_path_factory.mktemp("state"))) as started:
            yield started


@pytest.fixture(scope="module")
def system(started: tuple[LocalSystem, Children]) -> LocalSystem:
    return started[0]


@pytest.fixture(scope="module")
def token(system: LocalSystem) -> str:
    return sign(system, {"sub": "ada", "groups": ["a", "b"], "age": 36, "vip": True})


def sign(system: LocalSystem, claims: dict[str, Any], *, now: datetime | None = None, lifetime: int = 600) -> str:
    """Return a token signed by the system's own issuer."""
    issuer = Issuer(system.state, system.issuer_url)
    return issuer.sign(claims, now=now or datetime.now(UTC), lifetime_seconds=lifetime)


@pytest.fixture(scope="module")
def call(system: LocalSystem) -> Call:
    """Return a function that sends one request and reads the answer."""

    def send(
        method: str, path: str, *, body: bytes | None = None, token: str | None = None, headers: Any = None
    ) -> Answer:
        port = int(system.api_url.rsplit(":", 1)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            authorization = {"Authorization": f"Bearer {token}"} if token else {}
            connection.request(method, path, body=body, headers=authorization | dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    return send
