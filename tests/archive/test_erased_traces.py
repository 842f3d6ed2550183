"""After an erasure nothing of a shopper is left: not what they wrote, not their card, not their name as an actor."""

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.checkout.payment_methods import FORGET_ATTEMPTS_MAX, forget_methods
from holdfast.flows.claims.idempotency import Claim, fingerprint_of
from holdfast.flows.notifications.record_feedback import record_feedback
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.values.caller import Caller, CallerKind
from holdfast.web.answers import order_answer
from local.mail_server.feedback import event_of
from tests import shipping
from tests.archive.scenes import archive, documents, plenty, prove, purge, put_away, scan, verify, years_pass
from tests.archive.traces import left_in_files, left_of, pattern
from tests.flows.actions import guest, ordered, staff
from tests.flows.mailing import notify
from tests.flows.moving import NEWARK, RENO, readdress, shop
from tests.house import House
from tests.mail.stage import Post
from tests.premises import DENVER

SUBJECT = "a1b2-subject-of-ada"
PHONE = "+1 303 555 0142"
WORDS = "my sister Mabel bought the same"
CARD = "pm_card_mastercard"
HOME = replace(DENVER, phone=PHONE)


@pytest.fixture
def ada(house: House) -> Caller:
    """A registered shopper whose traces cannot be mistaken for anything else."""
    house.add_variant("CAP", stock={"EWR": 100, "RNO": 100})
    house.customer = Caller(house.organization_id, CallerKind.CUSTOMER, SUBJECT, "ada@example.com")
    return house.customer


def cancel(house: House, order_id: str, caller: Caller) -> None:
    """Cancel an order with a reason in the shopper's own words."""
    claim = Claim(caller.actor, "cancel_order", uuid.uuid4().hex, fingerprint_of({"order": order_id}))
    cancel_order(house.runtime, CancelOrder(caller, claim, order_id, WORDS), house.clock, order_answer)


def lived(house: House) -> list[str]:
    """Place orders that leave traces wherever a shopper can, and return their ids.

    A card is kept with each but one, three are cancelled, and one is sent to another address.
    """
    shop(house)
    kept = [ordered(house, address=HOME, save=True, token=CARD) for _ in range(3)]
    kept.append(ordered(house, {"CAP": 1}, address=replace(NEWARK, phone=PHONE), save=True, token=CARD))
    unpaid = ordered(house, address=HOME, token="pm_card_authenticationRequired")
    house.work()
    assert readdress(house, kept[3], RENO)["reallocation"]["applied"]
    for order_id, caller in ((unpaid, house.customer), (kept[0], house.customer), (kept[1], staff(house))):
        cancel(house, order_id, caller)
    house.work()
    for order_id in kept[2:]:
        shipping.delivered(house, order_id)
    return [*kept, unpaid]


def traces(house: House) -> re.Pattern[str]:
    """Return a pattern of everything personal that the house has before the erasure."""
    rows = house.rows(
        "SELECT token AS said FROM tenancy.payment_methods"
        " UNION SELECT gateway_customer_id FROM tenancy.payment_methods"
        " UNION SELECT method_token FROM payments.payments UNION SELECT gateway_customer_id FROM payments.payments"
        " UNION SELECT expires_on::text FROM tenancy.payment_methods"
    )
    words = {row["said"] for row in rows} - {None}
    assert len(words) >= 3
    return pattern([SUBJECT, PHONE, WORDS, "Mabel", "4444", "7 Virginia Street", "1 Broad Street", "89501", *words])


def erase(house: House) -> None:
    """Erase the house's only customer, and tell their gateway to forget what it keeps."""
    found = house.value("SELECT id FROM tenancy.customers")
    erase_customer(house.runtime, staff(house, "admin"), found, reason="asked for", now=house.clock())
    while forget_methods(house.system, house.clock):
        pass


def places(house: House, personal: re.Pattern[str]) -> set[str]:
    return {re.sub(r"(_default|_\d{4}_\d\d)$", "", name) for name in left_of(house, personal)}


def archived(house: House) -> str:
    return " ".join(documents(house).values()).lower()


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
    personal = traces(house)
    assert {"tenancy.payment_methods", "payments.payment_events", "operations.audit_log"} <= places(house, personal)
    assert personal.search(archived(house)) is None
    assert left_in_files(house, personal) == {}
    erase(house)
    assert left_of(house, personal) == {}
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None


def test_a_guest_leaves_no_trace_either(house: House) -> None:
    somebody = replace(guest(house), subject=SUBJECT)
    cancelled, delivered = (ordered(house, caller=somebody, address=HOME, token=CARD) for _ in range(2))
    house.work()
    cancel(house, cancelled, somebody)
    house.work()
    shipping.delivered(house, delivered)
    personal = pattern([SUBJECT, "guest@example.com", PHONE, WORDS, "4444"])
    assert {"orders.orders", "inventory.stock_movements"} <= places(house, personal)
    erase(house)
    assert left_of(house, personal) == {}


def as_it_was_written(house: House, order_ids: Sequence[str]) -> None:
    """Change rows to what earlier code wrote.

    A kept payment method is in the events, the shopper's words are with the goods, and a name is on the parcel.
    """
    orders = {"ids": "{" + ",".join(order_ids) + "}"}
    house.sql(
        "UPDATE payments.payment_events SET news = news || jsonb_build_object('saved_method', saved_method),"
        " saved_method = NULL WHERE saved_method IS NOT NULL AND payment_id IN ("
        "   SELECT id FROM payments.payments WHERE order_id = ANY (CAST(:ids AS uuid[])))",
        **orders,
    )
    for table, column, order in (
        ("inventory.reservations", "reason", "order_id"),
        ("inventory.stock_movements", "reason", "reference_id"),
    ):
        house.sql(
            f"UPDATE {table} SET {column} = :words WHERE {column} LIKE 'cancelled by the %'"
            f" AND {order} = ANY (CAST(:ids AS uuid[]))",
            words=WORDS,
            **orders,
        )
    house.sql(
        "UPDATE fulfillment.shipments SET cancel_reason = replace(cancel_reason, 'by customer:', :by)"
        " WHERE order_id = ANY (CAST(:ids AS uuid[]))",
        by=f"by customer:{SUBJECT}:",
        **orders,
    )
    house.sql(
        "UPDATE operations.audit_log SET actor = :actor, changed_values = changed_values || CAST(:said AS jsonb)"
        " WHERE actor = 'customer' AND table_name = 'fulfillment.shipments'",
        actor=f"customer:{SUBJECT}",
        said=json.dumps({"cancel_reason": f"by customer:{SUBJECT}: the order is over"}),
    )


@pytest.mark.parametrize("is_archived", [False, True])
def test_what_code_of_before_wrote_in_the_clear_is_set_apart_and_erased(
    house: House, ada: Caller, is_archived: bool
) -> None:
    as_it_was_written(house, lived(house))
    personal = traces(house)
    everywhere = {"payments.payment_events", "inventory.reservations", "inventory.stock_movements"}
    assert everywhere | {"fulfillment.shipments", "operations.audit_log"} <= places(house, personal)
    years_pass(house)
    if is_archived:
        archive(house)
        assert personal.search(archived(house)) is None
        assert verify(house).tally.findings == []
    erase(house)
    assert left_of(house, personal) == {}
    assert scan(house).tally.findings == []


def test_a_document_of_before_is_proven_comes_back_and_is_archived_without_it(house: House, ada: Caller) -> None:
    """The archive never changes a document. Only the next version of such a document keeps the method apart."""
    order_ids = lived(house)
    as_it_was_written(house, order_ids)
    personal = traces(house)
    definition = house.value("SELECT pg_get_functiondef(CAST('archive.set_apart' AS regproc))")
    house.sql(re.sub(r"(?s)UPDATE .*(?=END\n)", "", definition))
    years_pass(house)
    archive(house)
    house.sql(definition)
    assert personal.search(archived(house)) is not None
    assert verify(house).tally.findings == []
    house.clock.advance(days=8)
    purge(house)
    for order_id in order_ids:
        assert restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "why")
    assert archive(house).orders == len(order_ids)
    assert personal.search(archived(house)) is None
    assert verify(house).tally.findings == []
    assert scan(house).tally.findings == []


def test_a_gateway_that_does_not_forget_somebody_erased_is_asked_every_day(house: House, ada: Caller) -> None:
    order_id = ordered(house, address=HOME, save=True, token=CARD)
    house.work()
    shipping.delivered(house, order_id)
    personal = traces(house)
    house.stripe_behaves(match={"operation": "payment_methods.detach"}, http_status=503, times=FORGET_ATTEMPTS_MAX + 1)
    erase(house)
    for _ in range(FORGET_ATTEMPTS_MAX):
        house.clock.advance(hours=1, seconds=1)
        forget_methods(house.system, house.clock)
    assert house.failures() == ["PaymentMethodKept"]
    assert places(house, personal) == {"tenancy.payment_methods"}
    house.clock.advance(days=1)
    assert forget_methods(house.system, house.clock) == 1
    assert left_of(house, personal) != {}
    house.clock.advance(days=1)
    assert forget_methods(house.system, house.clock) == 1
    assert left_of(house, personal) == {}


@pytest.fixture
def mailed(house: House, post: Post) -> dict[str, Any]:
    """A delivered order whose shopper got a mail; return what the mail service says when they complain."""
    order_id = ordered(house)
    notify(house)
    house.work()
    shipping.delivered(house, order_id)
    return dict(event_of(post.mails()[-1], "complained"))


def test_a_complaint_after_the_erasure_writes_nobody_down(house: House, mailed: dict[str, Any]) -> None:
    erase(house)
    assert record_feedback(house.system, mailed, house.clock()) == "complained"
    assert left_of(house) == {}


def test_a_second_erasure_takes_what_came_since_and_answers_with_the_first(
    house: House, mailed: dict[str, Any]
) -> None:
    erase(house)
    house.sql("UPDATE payments.payment_events SET payload = jsonb_build_object('email', 'ada@example.com')")
    house.sql(
        "INSERT INTO notifications.suppressions (organization_id, id, address, reason, message_id, feedback_id,"
        " created_at) SELECT m.organization_id, m.id, 'ada@example.com', 'complaint', m.id, 'x', m.created_at"
        " FROM notifications.messages m WHERE m.feedback IS NULL",
    )
    assert set(left_of(house)) == {"payments.payment_events", "notifications.suppressions"}
    house.clock.advance(days=1)
    tombstones = house.rows("SELECT * FROM archive.erasures")
    customers = house.rows("SELECT * FROM tenancy.customers")
    erase(house)
    assert left_of(house) == {}
    assert house.rows("SELECT * FROM archive.erasures") == tombstones
    assert house.rows("SELECT * FROM tenancy.customers") == customers


def test_the_audit_log_keeps_of_a_parcel_that_something_changed_and_not_to_what(house: House, ada: Caller) -> None:
    lived(house)
    rows = house.rows(
        "SELECT actor, changed_values AS said FROM operations.audit_log WHERE table_name = 'fulfillment.shipments'"
    )
    numbers = {row["said"]["tracking_number"] for row in rows if row["said"].get("tracking_number")}
    assert numbers == {"not kept"}
    assert {row["said"]["cancel_reason"] for row in rows if row["said"]["status"] == "cancelled"} == {"not kept"}
    assert "customer" in {row["actor"] for row in rows}
    assert house.value("SELECT count(*) FROM fulfillment.shipments WHERE tracking_number IS NOT NULL") > 0
