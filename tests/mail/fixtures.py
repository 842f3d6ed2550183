"""A mail service for tests that send mail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mail.stage import Post, running_post


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """Yield this test's own mail service."""
    with running_post(tmp_path / "mails") as running:
        yield running
