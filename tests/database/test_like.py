"""The LIKE of the error classes matches as PostgreSQL's does, for every text and every pattern."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection

from holdfast.payments.error_classes import is_like_pattern, like
from tests.database.acting import connected
from tests.database.conftest import TwoShops

INVALID_ESCAPE = "22025"
ALPHABET = st.sampled_from(["a", "b", "A", "%", "_", "\\", "\n", "é", "e\u0301", "\U0001f600", " "])
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@pytest.fixture(scope="module")
def asked(shops: TwoShops) -> Iterator[Connection]:
    with connected(shops.superuser) as connection:
        yield connection


def answer(connection: Connection, text: str, pattern: str) -> bool | None:
    """Return PostgreSQL's answer, or ``None`` if it refuses the pattern."""
    try:
        return bool(
            connection.run("SELECT CAST(:text AS text) LIKE CAST(:pattern AS text)", text=text, pattern=pattern)[0][0]
        )
    except DatabaseError as error:
        if error.args[0]["C"] != INVALID_ESCAPE:
            raise
        return None


@given(st.lists(ALPHABET, max_size=10).map("".join) | TEXTS, st.lists(ALPHABET, max_size=8).map("".join) | TEXTS)
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_like_answers_as_postgresql_does(asked: Connection, text: str, pattern: str) -> None:
    found = answer(asked, text, pattern)
    if not is_like_pattern(pattern):
        assert found in (None, False)  # PostgreSQL complains only if matching gets to the end of the pattern
        return
    assert like(text, pattern) == found


@given(st.text(st.sampled_from("ab"), max_size=12), st.text(st.sampled_from("ab%_"), max_size=8))
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_like_answers_as_postgresql_does_where_much_matches(asked: Connection, text: str, pattern: str) -> None:
    assert like(text, pattern) == answer(asked, text, pattern)
