"""A customer's data is exported as a whole and erased as a whole, without a change to any archived byte."""

import json
from typing import Any
from uuid import UUID

import boto3
import pytest

from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.export_customer import export_customer
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.dead_letters.work_dead_letters import Step, take_step
from holdfast.flows.orders.find_order import find_order
from holdfast.payments.dead_letters import DeadLetterAction
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, Forbidden, NotFound
from tests import shipping
from tests.archive.scenes import archive, delivered, documents, plenty, prove, purge, put_away, scan, verify, years_pass
from tests.archive.traces import left_of, pattern
from tests.flows.actions import check, ordered, staff
from tests.flows.dead_lettering import buried, mend_events
from tests.flows.moving import NOWHERE, RENO, readdress, shop
from tests.flows.reviewing import answer, token
from tests.house import House, document


def customer_id(house: House) -> UUID:
    found: UUID = house.value("SELECT id FROM tenancy.customers")
    return found


def exported(house: House, who: Caller, **how: Any) -> dict[str, Any]:
    page = {"before": None, "limit": 10} | how
    return export_customer(house.runtime, who, customer_id(house), **page, now=house.clock())


def erase(house: House, who: Caller) -> dict[str, Any]:
    return erase_customer(house.runtime, who, customer_id(house), reason="asked for", now=house.clock())


@pytest.fixture
def tiers(house: House) -> dict[str, str]:
    """One order in each tier: cold storage, archive (purged), archive (marked), active."""
    found = {}
    [found["cold"]] = delivered(house)
    years_pass(house)
    put_away(house)
    years_pass(house, 3)
    export_to_cold_storage(house.system, house.clock, plenty)
    [found["archived"]] = delivered(house)
    years_pass(house)
    put_away(house)
    [found["marked"]] = delivered(house)
    years_pass(house)
    archive(house)
    verify(house)
    [found["active"]] = delivered(house)
    return found


def test_an_order_of_somebody_erased_is_archived_alone(house: House) -> None:
    """It is a batch of one, whose personal part is an empty text."""
    [order_id] = delivered(house)
    erase(house, staff(house, "admin"))
    years_pass(house)
    put_away(house)
    assert json.loads(documents(house)[UUID(order_id)])["personal"] == ""
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None


def test_an_export_has_every_order_of_every_tier_page_by_page(house: House, tiers: dict[str, str]) -> None:
    admin = staff(house, "admin")
    whole = exported(house, admin)
    assert [order["id"] for order in whole["orders"]] == [tiers[t] for t in ("active", "marked", "archived", "cold")]
    assert {order["email"] for order in whole["orders"]} == {"ada@example.com"}
    assert whole["customer"]["email"] == "ada@example.com"
    first = exported(house, admin, limit=3)
    second = exported(house, admin, limit=3, before=UUID(first["next_before"]))
    assert first["orders"] + second["orders"] == whole["orders"]
    assert second["next_before"] is None


def test_erasure_ends_what_is_personal_in_every_tier_and_changes_no_archived_byte(
    house: House, tiers: dict[str, str]
) -> None:
    admin = staff(house, "admin")
    before = documents(house), stored(house)
    tombstone = erase(house, admin)
    assert (tombstone["active_orders"], tombstone["archived_orders"]) == (2, 3)
    assert (documents(house), stored(house)) == before
    assert erase(house, admin) == tombstone
    for tier, order_id in tiers.items():
        view = find_order(house.runtime, admin, order_id, house.clock())
        assert view["email"] == "erased", tier
        assert pattern().search(json.dumps(view).lower()) is None, tier
    assert left_of(house) == {}
    assert scan(house).tally.findings == []
    assert prove(house).break_position is None
    assert house.value("SELECT wrapped_key FROM archive.customer_keys") is None


def test_erasure_forgets_to_whom_mails_went_and_sends_none_that_waits(house: House, tiers: dict[str, str]) -> None:
    sent = {"status": "sent", "at": house.clock(), "due": None, "to": "ada@example.com", "by": "ses-1"}
    waits = {"status": "pending", "at": None, "due": house.clock(), "to": None, "by": None}
    for order_id in tiers.values():
        for kind, mail in (("order_confirmed", sent), ("order_refunded", waits)):
            house.sql(
                "INSERT INTO notifications.messages (organization_id, id, subject_id, kind, order_id, recipient,"
                " status, next_attempt_at, provider_id, sent_at, created_at)"
                " VALUES (:o, gen_random_uuid(), gen_random_uuid(), :kind, :order_id, :to, :status, :due, :by, :at,"
                " :now)",
                o=house.organization_id,
                kind=kind,
                order_id=order_id,
                now=house.clock(),
                **mail,
            )
    house.sql(
        "INSERT INTO notifications.suppressions (organization_id, id, address, reason, message_id, feedback_id,"
        " created_at)"
        " VALUES (:o, gen_random_uuid(), 'ada@example.com', 'bounce', gen_random_uuid(), 'f-1', :now)",
        o=house.organization_id,
        now=house.clock(),
    )
    erase(house, staff(house, "admin"))
    assert house.rows(
        "SELECT DISTINCT kind, status, recipient, next_attempt_at FROM notifications.messages ORDER BY 1"
    ) == [
        {"kind": "order_confirmed", "status": "sent", "recipient": None, "next_attempt_at": None},
        {"kind": "order_refunded", "status": "skipped", "recipient": None, "next_attempt_at": None},
    ]
    assert house.value("SELECT count(*) FROM notifications.suppressions") == 0


def test_what_was_erased_can_still_be_restored_and_archived_again(house: House, tiers: dict[str, str]) -> None:
    admin = staff(house, "admin")
    erase(house, admin)
    for tier in ("cold", "archived"):
        order_id = UUID(tiers[tier])
        assert restore_order(house.runtime, house.organization_id, order_id, house.clock(), "system:test", "a test")
    assert find_order(house.runtime, admin, tiers["cold"], house.clock())["email"] == "erased"
    years_pass(house, 1)
    archive(house)
    assert verify(house).tally.findings == []
    assert scan(house).tally.findings == []


@pytest.mark.parametrize("is_archived", [False, True])
def test_the_audit_log_forgets_where_an_order_went_before_it_was_sent_elsewhere(
    house: House, is_archived: bool
) -> None:
    shop(house)
    order_id = ordered(house)
    house.work()
    readdress(house, order_id, RENO)
    house.work()
    shipping.delivered(house, order_id)
    years_pass(house)
    if is_archived:
        put_away(house)
    assert "operations.audit_log" in {name.partition("_20")[0] for name in left_of(house)}
    erase(house, staff(house, "admin"))
    assert left_of(house) == {}
    if not is_archived:
        assert house.value("SELECT count(*) FROM operations.audit_log a WHERE a::text LIKE '%1Z999%'") == 0


def test_what_people_did_about_an_order_is_erased_with_it_and_it_still_comes_back(house: House) -> None:
    """A review was answered and a dead letter discarded. The database's own rules ask who did it, and why."""
    admin = staff(house, "admin")
    reviewed = document(house.place(address=NOWHERE))["order"]["id"]
    answer(house, token(house, reviewed), confirm=True)
    letter = buried(house)
    mend_events(house)
    discard = Step(DeadLetterAction.DISCARDED, letter["id"], letter["version"], note="for Ada Lovelace")
    take_step(house.runtime, staff(house, "manager"), discard, house.clock())
    check(house)
    orders = [reviewed, letter["order_id"]]
    for order_id in orders:
        shipping.delivered(house, order_id)
    years_pass(house)
    archive(house)
    verify(house)
    tombstone = erase(house, admin)
    assert (tombstone["active_orders"], tombstone["archived_orders"]) == (2, 2)
    assert left_of(house) == {}
    house.clock.advance(days=8)
    purge(house)
    for order_id in orders:
        back = UUID(order_id)
        assert restore_order(house.runtime, house.organization_id, back, house.clock(), "system:test", "a test")
        assert find_order(house.runtime, admin, order_id, house.clock())["email"] == "erased"
    assert house.value("SELECT resolved_by FROM addresses.reviews") is None
    assert house.value("SELECT resolution_notes FROM payments.dead_letters") is None
    assert scan(house).tally.findings == []


def test_nobody_is_erased_while_an_order_is_under_way_or_held(house: House) -> None:
    admin = staff(house, "admin")
    order_id = ordered(house)
    with pytest.raises(Conflict, match="under way"):
        erase(house, admin)
    house.cancel(order_id)
    house.work()
    years_pass(house)
    archive(house)
    house.sql("UPDATE archive.archive_index SET legal_hold = true")
    with pytest.raises(Conflict, match="legal hold"):
        erase(house, admin)


def test_it_takes_an_admin_and_a_customer(house: House) -> None:
    ordered(house)
    with pytest.raises(Forbidden):
        erase(house, staff(house, "manager"))
    with pytest.raises(Forbidden):
        exported(house, staff(house, "manager"))
    with pytest.raises(NotFound):
        erase_customer(house.runtime, staff(house, "admin"), UUID(int=1), reason="asked for", now=house.clock())


def stored(house: House) -> dict[str, bytes]:
    bucket = boto3.resource("s3").Bucket(house.environment["ARCHIVE_BUCKET"])
    return {entry.key: entry.get()["Body"].read() for entry in bucket.objects.all()}
