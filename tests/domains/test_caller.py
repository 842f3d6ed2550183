from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from holdfast.database.transaction import _begin
from holdfast.values.caller import Caller, CallerKind


@given(st.text(min_size=1, max_size=400))
def test_every_subject_has_a_name_that_a_transaction_takes(subject: str) -> None:
    actor = Caller(uuid4(), CallerKind.CUSTOMER, subject).actor
    assert actor in _begin(uuid4(), actor, datetime.now(UTC))


@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=400))
def test_two_callers_never_share_a_name(one: str, other: str) -> None:
    organization = uuid4()
    same = (
        Caller(organization, CallerKind.CUSTOMER, one).actor == Caller(organization, CallerKind.CUSTOMER, other).actor
    )
    assert same == (one == other)
