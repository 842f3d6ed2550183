from uuid import UUID

import pytest

from holdfast.flows.checkout.start_guest_session import start_guest_session
from holdfast.identity.port import GuestToken
from holdfast.values.errors import Unauthenticated
from tests.house import House


class Issuer:
    """Records which tokens were asked for."""

    def __init__(self) -> None:
        self.issued: list[tuple[UUID, UUID]] = []

    def issue(self, *, organization_id: UUID, guest_id: UUID) -> GuestToken:
        self.issued.append((organization_id, guest_id))
        return GuestToken(f"token-of-{guest_id}", 3600)


@pytest.fixture
def issuer(house: House) -> Issuer:
    made = Issuer()
    house.runtime.__dict__["guest_tokens"] = made
    return made


def test_a_shops_publishable_key_starts_a_session_of_that_shop_and_writes_no_customer(
    house: House, issuer: Issuer
) -> None:
    session = start_guest_session(house.runtime, house.publishable_key, house.clock())
    other = start_guest_session(house.runtime, house.publishable_key, house.clock())
    assert session.customer_id != other.customer_id
    assert issuer.issued == [(house.organization_id, session.customer_id), (house.organization_id, other.customer_id)]
    assert house.value("SELECT count(*) FROM tenancy.customers") == 0


@pytest.mark.parametrize("key", ["pk_nobody_has_this_one", "", "sk_test_1"])
def test_a_key_no_shop_has_starts_nothing(house: House, issuer: Issuer, key: str) -> None:
    with pytest.raises(Unauthenticated):
        start_guest_session(house.runtime, key, house.clock())
    assert issuer.issued == []


def test_a_shop_that_is_suspended_takes_no_guests(house: House, issuer: Issuer) -> None:
    house.sql("UPDATE tenancy.organizations SET status = 'suspended' WHERE id = :o", o=house.organization_id)
    with pytest.raises(Unauthenticated):
        start_guest_session(house.runtime, house.publishable_key, house.clock())
    assert issuer.issued == []
