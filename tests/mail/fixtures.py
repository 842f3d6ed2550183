"""A mail service for the tests that send mail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mail.stage import Post, running_post


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    """A mail service of this test's own."""
    with running_post(tmp_path / "mails") as running:
        yield running
