"""An order is found in whichever tier it is, and looks as it did before."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from holdfast.database.transaction import Transaction
from holdfast.flows.archive.archived_documents import AlteredDocument
from holdfast.flows.archive.export_customer import export_customer
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.money.event_record import store_event
from holdfast.flows.orders.find_order import find_order
from holdfast.flows.orders.list_orders import list_orders
from holdfast.gateways.port import GatewayEvent
from holdfast.orders.lifecycle import OrderStatus
from holdfast.values.address import Address
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound
from holdfast.values.payment_events import EventType
from tests import shipping
from tests.archive.scenes import archive, delivered, documents, put_away, verify, years_pass
from tests.flows import moving
from tests.flows.actions import guest, last_payment, ordered, staff
from tests.flows.moving import NEWARK, PORTLAND, RENO
from tests.house import House


def bookkept(view: object) -> object:
    return {**view, "version": None}  # type: ignore[dict-item]


def test_an_archived_order_looks_as_it_did(house: House) -> None:
    [order_id] = delivered(house)
    before = dict(house.order(order_id))
    years_pass(house)
    archive(house)
    assert bookkept(house.order(order_id)) == bookkept(before)
    put_away(house)
    assert bookkept(house.order(before["order_number"])) == bookkept(before)


def test_it_is_seen_by_its_owner_and_by_staff_alone(house: House) -> None:
    [order_id] = delivered(house)
    manager = staff(house)
    years_pass(house)
    put_away(house)
    stranger = Caller(house.organization_id, house.customer.kind, "eve", "eve@example.com")
    for caller in (stranger, guest(house)):
        with pytest.raises(NotFound):
            find_order(house.runtime, caller, order_id, house.clock())
    assert find_order(house.runtime, manager, order_id, house.clock())["email"] == "ada@example.com"


def listed(house: House, caller: Caller | None = None, **how: object) -> tuple[list[str], bool]:
    page = {"status": None, "before": None, "limit": 10} | how
    found = list_orders(house.runtime, caller or house.customer, **page, now=house.clock())  # type: ignore[arg-type]
    return [order["id"] for order in found["orders"]], found["has_archived"]


def test_lists_say_what_lives_in_the_archive_and_can_include_it(house: House) -> None:
    newest_first = sorted(delivered(house, 2), reverse=True)
    manager = staff(house)
    years_pass(house)
    put_away(house)
    young = ordered(house)
    assert listed(house) == ([young], True)
    for caller in (house.customer, manager):
        assert listed(house, caller, include_archived=True) == ([young, *newest_first], True)
        assert listed(house, caller, include_archived=True, limit=2)[0] == [young, newest_first[0]]
        assert listed(house, caller, include_archived=True, status=OrderStatus.DELIVERED)[0] == newest_first
    assert listed(house, guest(house)) == ([], False)


@pytest.mark.parametrize("comes_back", [False, True])
def test_an_order_that_moves_between_the_tiers_meanwhile_is_listed_once(
    house: House, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    [order_id] = delivered(house)
    years_pass(house)
    if comes_back:
        archive(house)
        move: Callable[[], Any] = partial(
            restore_order, house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test"
        )
    else:
        move = partial(archive, house)
    moves_after_the_active_ones(monkeypatch, move)
    assert listed(house, include_archived=True)[0] == [order_id]
    assert house.value("SELECT location FROM archive.archive_index") == ("restored" if comes_back else "archived")


def test_an_order_that_is_archived_meanwhile_is_exported_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    [order_id] = delivered(house)
    customer_id, admin = house.value("SELECT id FROM tenancy.customers"), staff(house, "admin")
    years_pass(house)
    moves_after_the_active_ones(monkeypatch, partial(archive, house))
    page = export_customer(house.runtime, admin, customer_id, before=None, limit=10, now=house.clock())
    assert [str(order["id"]) for order in page["orders"]] == [order_id]
    assert house.value("SELECT location FROM archive.archive_index") == "archived"


def moves_after_the_active_ones(monkeypatch: pytest.MonkeyPatch, move: Callable[[], Any]) -> None:
    """Let the order move once the active orders have been read, before those in the archive are."""
    real = Transaction.rows

    def rows(self: Transaction, statement: str, **how: Any) -> Any:
        if "FROM archive.archive_index x" in statement:
            monkeypatch.setattr(Transaction, "rows", real)
            move()
        return real(self, statement, **how)

    monkeypatch.setattr(Transaction, "rows", rows)


def test_an_order_that_the_index_forgot_is_served_and_the_index_mended_on_the_record(house: House) -> None:
    [order_id] = delivered(house)
    number = house.order(order_id)["order_number"]
    years_pass(house)
    put_away(house)
    for reference in (order_id, number):
        house.sql("DELETE FROM archive.archive_index")
        assert house.order(reference)["id"] == order_id
        assert house.value("SELECT count(*) FROM archive.archive_index WHERE location = 'archived'") == 1
    looks = house.rows("SELECT type, found, resolved FROM archive.reconciliation_log WHERE type = 'location_repair'")
    assert [(look["found"], look["resolved"]) for look in looks] == [(1, 1), (1, 1)]


def test_an_altered_document_is_shown_to_nobody(house: House) -> None:
    [order_id] = delivered(house)
    years_pass(house)
    put_away(house)
    house.sql("UPDATE archive.archived_orders SET document = replace(document, '\"TEE\"', '\"TOE\"')")
    with pytest.raises(AlteredDocument):
        house.order(order_id)
    assert house.value("SELECT count(*) FROM archive.discrepancies WHERE resolved_at IS NULL") == 1


def test_a_restored_order_is_what_it_was_and_archiving_it_again_adds_a_version(house: House) -> None:
    [order_id] = delivered(house)
    before = dict(house.order(order_id))
    years_pass(house)
    put_away(house)
    [first] = documents(house).values()
    assert restore_order(
        house.runtime,
        house.organization_id,
        house.value("SELECT order_id FROM archive.archive_index"),
        house.clock(),
        "system:test",
        "a test",
    )
    assert bookkept(house.order(order_id)) == bookkept(before)
    assert house.violations() == []
    archive(house)
    versions = house.rows("SELECT version, document FROM archive.archived_orders ORDER BY version")
    assert [row["version"] for row in versions] == [1, 2]
    assert [row["document"] for row in versions] == [first, first]
    assert verify(house).tally.findings == []


@pytest.mark.parametrize("moves", [(NEWARK, PORTLAND), (RENO, NEWARK, PORTLAND)], ids=["once", "twice"])
def test_a_restored_order_costs_what_it_came_down_to(house: House, moves: tuple[Address, ...]) -> None:
    """Its price fell with its address and the difference was refunded; the restore takes the same steps down."""
    moving.shop(house)
    house.receive("TEE", "RNO", 10)
    order_id = ordered(house, {"TEE": 2}, address=moves[0])
    for address in moves[1:]:
        moving.readdress(house, order_id, address)
        house.clock.advance(minutes=1)
    house.work()
    shipping.delivered(house, order_id)
    before = dict(house.order(order_id))
    assert before["amounts"]["total_minor"] == 4_799
    assert len(moving.refunds(house, order_id)) == len(moves) - 1
    years_pass(house)
    put_away(house)
    assert house.value("SELECT count(*) FROM orders.orders") == 0
    [sealed] = documents(house).values()
    assert restore_order(house.runtime, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test")
    assert bookkept(house.order(order_id)) == bookkept(before)
    assert house.violations() == []
    archive(house)
    assert [row["document"] for row in house.rows("SELECT document FROM archive.archived_orders")] == [sealed, sealed]
    assert verify(house).tally.findings == []


def test_news_of_a_payment_brings_its_archived_order_back(house: House) -> None:
    [order_id] = delivered(house)
    [event] = house.webhooks("payment_intent.succeeded", order_id=order_id)
    years_pass(house)
    for _ in range(2):  # first it is marked in the active tables, then it is gone from them
        event = {**event, "id": event["id"] + "x", "created": int(house.clock().timestamp())}
        archive(house)
        house.deliver(event)
        house.work()
        assert house.value("SELECT deleted_at IS NULL FROM orders.orders") is True
        assert house.value("SELECT location FROM archive.archive_index") == "restored"
        assert house.violations() == []
        years_pass(house, 1)
        put_away(house)
        assert house.value("SELECT count(*) FROM orders.orders") == 0


def test_a_dispute_that_names_our_payment_alone_brings_its_purged_order_back(house: House) -> None:
    """PayPal's disputes do, and Adyen's second chargebacks."""
    [order_id] = delivered(house)
    payment_id = UUID(last_payment(house, order_id)["id"])
    account_id = house.value("SELECT gateway_account_id FROM payments.payments")
    years_pass(house)
    put_away(house)
    told = GatewayEvent(
        gateway_event_id="WH-1",
        gateway_event_type="CUSTOMER.DISPUTE.CREATED",
        event_type=EventType.DISPUTE_OPENED,
        occurred_at=house.clock(),
        payment_id=payment_id,
        amount_minor=2_857,
        currency="USD",
        gateway_dispute_id="PP-D-1",
        dispute_reason="UNAUTHORISED",
        dispute_lost_minor=0,
    )
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="webhook") as opened:
        store_event(opened, told, gateway="stripe", gateway_account_id=account_id)
    house.work()
    assert house.value("SELECT location FROM archive.archive_index") == "restored"
    assert house.value("SELECT has_open_dispute FROM orders.orders") is True
    assert house.failures() == ["DisputeOpened"]


def test_an_event_that_is_in_the_archive_brings_nothing_back(house: House) -> None:
    [order_id] = delivered(house)
    [event] = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(event)
    house.work()
    years_pass(house)
    put_away(house)
    house.deliver(event)
    house.work()
    assert house.value("SELECT state FROM payments.payment_events") == "processed"
    assert house.value("SELECT count(*) FROM orders.orders") == 0


def test_an_order_comes_back_though_its_old_news_was_repeated(house: House) -> None:
    [order_id] = delivered(house)
    [event] = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(event)
    house.work()
    before = house.order(order_id)
    years_pass(house)
    put_away(house)
    house.deliver(event)
    house.work()
    assert house.value("SELECT count(*) FROM payments.payment_events") == 1
    house.deliver({**event, "id": event["id"] + "x", "created": int(house.clock().timestamp())})
    house.work()
    assert house.value("SELECT location FROM archive.archive_index") == "restored"
    assert house.value("SELECT count(*) FROM payments.payment_events WHERE state <> 'processed'") == 0
    assert bookkept(house.order(order_id)) == bookkept(before)
    assert house.violations() == []


def test_an_order_comes_back_though_a_repeat_of_its_old_news_was_given_up(house: House) -> None:
    [order_id] = delivered(house)
    [event] = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(event)
    house.work()
    years_pass(house)
    put_away(house)
    house.deliver(event)
    house.sql("UPDATE payments.payment_events SET attempts = 100")  # as if every attempt had died with its process
    house.work()
    assert house.value("SELECT count(*) FROM payments.dead_letters") == 1
    assert restore_order(house.system, house.organization_id, UUID(order_id), house.clock(), "system:test", "a test")
    assert house.value("SELECT count(*) FROM payments.dead_letters") == 0
    assert house.violations() == []
