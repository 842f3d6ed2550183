"""After an erasure nothing of a shopper is left: not what they wrote, not their card, not who acted."""

import uuid
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.archive.customer_data import erase_customer
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.checkout.payment_methods import forget_methods
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.values.caller import Caller, CallerKind
from holdfast.web.answers import order_answer
from tests import shipping
from tests.archive.scenes import archive, plenty, prove, put_away, scan, verify, years_pass
from tests.archive.traces import left_of, pattern
from tests.flows.actions import ordered, staff
from tests.flows.moving import RENO, readdress, shop
from tests.house import House
from tests.premises import DENVER

SUBJECT = "a1b2-subject-of-ada"
PHONE = "+1 303 555 0142"
WORDS = "my sister Mabel bought the same"
CARD = "pm_card_mastercard"
HOME = replace(DENVER, phone=PHONE)


@pytest.fixture
def ada(house: House) -> Caller:
    """A registered shopper whose every trace can be told from anything else."""
    house.add_variant("CAP", stock=100)
    house.customer = Caller(house.organization_id, CallerKind.CUSTOMER, SUBJECT, "ada@example.com")
    return house.customer


def lived(house: House) -> list[str]:
    """Orders that leave traces wherever a shopper can: a card kept with each, three cancelled with words, one moved."""
    shop(house)
    kept = [ordered(house, address=HOME, save=True, token=CARD) for _ in range(4)]
    unpaid = ordered(house, address=HOME, token="pm_card_authenticationRequired")
    house.work()
    readdress(house, kept[3], RENO)
    for order_id, caller in ((unpaid, house.customer), (kept[0], house.customer), (kept[1], staff(house))):
        claim = Claim(caller.actor, "cancel_order", uuid.uuid4().hex, fingerprint_of({"order": order_id}))
        cancel_order(house.runtime, CancelOrder(caller, claim, order_id, WORDS), house.clock, order_answer)
    house.work()
    for order_id in kept[2:]:
        shipping.delivered(house, order_id)
    return [*kept, unpaid]


def traces(house: House) -> Any:
    """Everything personal, as the house has it before the erasure."""
    tokens = {
        row["said"]
        for row in house.rows(
            "SELECT token AS said FROM tenancy.payment_methods UNION SELECT gateway_customer_id FROM tenancy.payment_methods"
            " UNION SELECT method_token FROM payments.payments UNION SELECT gateway_customer_id FROM payments.payments"
            " UNION SELECT expires_on::text FROM tenancy.payment_methods"
        )
    } - {None}
    assert len(tokens) > 5
    return pattern([SUBJECT, PHONE, WORDS, "Mabel", "4444", "7 Virginia Street", "89501", *tokens])


def customer_id(house: House) -> UUID:
    found: UUID = house.value("SELECT id FROM tenancy.customers WHERE auth_subject = :s", s=SUBJECT)
    return found


def erase(house: House, found: UUID) -> dict[str, Any]:
    return erase_customer(house.runtime, staff(house, "admin"), found, reason="asked for", now=house.clock())


def test_no_trace_is_left_in_any_tier(house: House, ada: Caller) -> None:
    lived(house)
    years_pass(house)
    put_away(house)
    years_pass(house, 3)
    export_to_cold_storage(house.system, house.clock, plenty)
    lived(house)
    years_pass(house)
    put_away(house)
    lived(house)
    years_pass(house)
    archive(house)
    verify(house)
    lived(house)
    personal, customer = traces(house), customer_id(house)
    assert {"tenancy.payment_methods", "payments.payment_events", "inventory.stock_movements"} <= {
        name.partition("_default")[0] for name in left_of(house, personal)
    }
    erase(house, customer)
    while forget_methods(house.system, house.clock):
        pass
    for k,v in left_of(house, personal).items(): print("LEFT", k, v[:900])
    assert left_of(house, personal) == {}
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None
