"""The archive's functions: what the schedules do, and what the operations team asks for."""

from collections.abc import Iterator

import pytest

from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.secrets.store import SecretStore
from holdfast.web import archive_views
from local.postgres import Address
from tests.archive.scenes import archive_environment, delivered, old_at_once
from tests.handlers.door import Door, handler_of
from tests.handlers.stock_room import StockRoom
from tests.handlers.test_openapi import same
from tests.handlers.test_workers import metrics
from tests.house import House

SAMPLE_ID = "01930000-0000-7000-8000-0000000000b1"
SAMPLE_HOLD = "01930000-0000-7000-8000-0000000000b2"
SAMPLE_NUMBER = "HF-00ZZ-0000-0000-0000"


@pytest.fixture
def house(db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    with House(db, stripe_url, secret_store, archive_environment()) as made:
        made.add_variant(stock=10)
        old_at_once(made)
        yield made


@pytest.fixture
def filed(door: Door) -> str:
    """Return the number of an order that the schedules archived, verified and purged."""
    [order_id] = delivered(door.house)
    number: str = door.house.order(order_id)["order_number"]
    assert door.invoke("archival", door.sample("archival/tick"))["archived"] == 1
    looked = door.invoke("archive_verification", door.sample("archive_verification/post_archive"))
    assert looked == {"look": "post_archive", "batches": 1, "checked": 1, "found": 0, "finished": True}
    again = door.invoke("archival", door.sample("archival/tick"))
    assert again == {"archived": 0, "purged": 1, "blocked_batches": 0, "finished": True}
    return number


def test_schedules_look_at_the_archive_and_move_it(door: Door, filed: str) -> None:
    for look in (
        "archive_verification/spot_check",
        "archive_verification/chain",
        "archive_verification/full_scan",
    ):
        looked = door.invoke("archive_verification", door.sample(look))
        assert (looked["checked"], looked["found"], looked["finished"]) == (1, 0, True)
    again = door.invoke("archive_verification", door.sample("archive_verification/full_scan"))
    assert again["checked"] == 0  # this month's full scan is done
    exported = door.invoke("cold_export", door.sample("cold_export/tick"))
    assert exported["finished"] is True
    assert exported["broken"] == []


class OutOfOrder(Exception):
    """What a flow raises at its end because one shop failed."""


def fails(*_: object, **__: object) -> None:
    raise OutOfOrder


@pytest.mark.parametrize(
    ("function", "event", "first", "counted"),
    [
        ("archival", "archival/tick", "purge_orders", {"OrdersArchived": 1.0}),
        (
            "cold_export",
            "cold_export/tick",
            "export_to_cold_storage",
            {"ColdFilesBroken": 0.0, "ArchiveDiscrepancies": 0.0, "ArchiveLooksLate": 0.0},
        ),
        ("archive_verification", "archive_verification/post_archive", "_LOOKS", {"ArchiveDiscrepancies": 0.0}),
    ],
)
def test_a_part_of_a_run_that_fails_keeps_no_other_part_from_its_work(
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: str,
    event: str,
    first: str,
    counted: dict[str, float],
) -> None:
    delivered(door.house)
    module = handler_of(function).__globals__
    monkeypatch.setitem(module, first, {"post_archive": fails} if first == "_LOOKS" else fails)
    with pytest.raises(OutOfOrder):
        door.invoke(function, door.sample(event))
    assert {name: value for name, value, _ in metrics(capsys)} == counted


def test_the_samples_list_reconcile_prove_and_restore(door: Door, filed: str) -> None:
    room = StockRoom(door)
    page = room.sample("archive_operations/list_batches")
    same(archive_views.ArchiveBatchPage, page.body)
    [batch] = page.body["batches"]
    assert batch["statement"] == "all 1 orders were looked at: one that is corrupt is found"
    ids = {SAMPLE_ID: batch["id"], SAMPLE_NUMBER: filed}
    reconciled = room.sample("archive_operations/reconcile", **ids)
    same(archive_views.ArchiveBatchAnswer, reconciled.body)
    assert reconciled.body["batch"]["status"] == "verified"
    proof = room.sample("archive_operations/prove")
    same(archive_views.ArchiveProofAnswer, proof.body)
    assert (proof.body["proof"]["orders"], proof.body["proof"]["root"]) == (1, batch["root"])
    found = room.sample("archive_operations/list_discrepancies")
    assert found.body == {"discrepancies": [], "next_before": None}
    restored = room.sample("archive_operations/restore", **ids)
    assert (restored.body["was_in"], restored.body["restored"]) == ("archived", True)
    again = room.sample("archive_operations/restore", **ids)
    assert (again.status, again.body["was_in"], again.body["restored"]) == (200, "restored", False)
    assert room.sample("archive_operations/restore").status == 404


def test_what_is_wrong_is_listed_and_fails_its_batch(door: Door, filed: str) -> None:
    room = StockRoom(door)
    door.house.sql("UPDATE archive.archived_orders SET total = total + 1")
    [batch] = room.sample("archive_operations/list_batches").body["batches"]
    reconciled = room.sample("archive_operations/reconcile", **{SAMPLE_ID: batch["id"]})
    assert (reconciled.body["batch"]["status"], reconciled.body["batch"]["discrepancies"]) == ("failed", 2)
    page = room.sample("archive_operations/list_discrepancies")
    same(archive_views.ArchiveDiscrepancyPage, page.body)
    assert {found["kind"] for found in page.body["discrepancies"]} == {"inconsistent"}
    unknown = room.sample("archive_operations/reconcile")
    assert unknown.status == 404


def test_the_samples_export_and_erase_a_customer(door: Door, filed: str) -> None:
    admin = StockRoom(door, "admin")
    customer_id = str(door.house.value("SELECT id FROM tenancy.customers"))
    exported = admin.sample("customer_data/export", **{SAMPLE_ID: customer_id})
    same(archive_views.CustomerExport, exported.body)
    assert [order["order_number"] for order in exported.body["orders"]] == [filed]
    erased = admin.sample("customer_data/erase", **{SAMPLE_ID: customer_id})
    same(archive_views.ErasureAnswer, erased.body)
    assert erased.body["erasure"]["archived_orders"] == 1
    assert admin.sample("customer_data/erase", **{SAMPLE_ID: customer_id}).raw == erased.raw
    assert StockRoom(door).sample("customer_data/erase", **{SAMPLE_ID: customer_id}).status == 403
    assert admin.sample("customer_data/export").status == 404
    shown = admin.ask("GET /v1/orders/{reference}", reference=filed)
    assert shown.body["order"]["email"] == "erased"


def test_an_order_in_the_archive_is_found_through_the_door_and_listed_when_asked_for(door: Door, filed: str) -> None:
    assert door.ask("GET /v1/orders/{reference}", reference=filed).body["order"]["order_number"] == filed
    assert door.ask("GET /v1/orders").body == {"orders": [], "next_before": None, "has_archived": True}
    page = door.ask("GET /v1/orders", query={"include_archived": "true"}).body
    assert [order["order_number"] for order in page["orders"]] == [filed]


def test_the_samples_bring_a_month_back(door: Door, filed: str) -> None:
    room = StockRoom(door)
    door.house.clock.advance(days=32)
    assert room.sample("archive_operations/restore_month").status == 404
    assert door.invoke("cold_export", door.sample("cold_export/tick"))["exported"] in (0, 1)
    month = door.house.value("SELECT to_char(min(ordered_at), 'YYYY-MM') FROM archive.archive_index")
    if door.house.value("SELECT count(*) FROM archive.cold_files") == 0:
        export_to_cold_storage(door.house.system, door.house.clock, lambda: 60.0)
    asked = room.sample("archive_operations/restore_month", **{"2021-03": month})
    assert asked.status == 202, asked.raw
    same(archive_views.RestoredMonthAnswer, asked.body)
    assert (asked.body["restore"]["month"], asked.body["restore"]["state"]) == (month, "running")
    done = door.invoke("cold_export", door.sample("cold_export/restore_months"))
    assert done == {"orders": 1, "months": 1, "finished": True}
    page = room.sample("archive_operations/list_restored_months")
    same(archive_views.RestoredMonthPage, page.body)
    assert [(each["state"], each["orders"], each["row_groups_done"]) for each in page.body["restores"]] == [
        ("done", 1, 1)
    ]
    assert room.sample("archive_operations/restore_month", **{"2021-03": "2021-13"}).status == 422


def test_the_samples_place_list_and_release_a_hold(door: Door, filed: str) -> None:
    admin, manager = StockRoom(door, "admin"), StockRoom(door)
    assert manager.sample("archive_operations/place_hold", **{SAMPLE_NUMBER: filed}).status == 403
    assert admin.sample("archive_operations/place_hold").status == 404
    placed = admin.sample("archive_operations/place_hold", **{SAMPLE_NUMBER: filed})
    assert placed.status == 201, placed.raw
    same(archive_views.LegalHoldAnswer, placed.body)
    assert admin.sample("archive_operations/place_hold", **{SAMPLE_NUMBER: filed}).raw == placed.raw
    customer_id = str(door.house.value("SELECT id FROM tenancy.customers"))
    assert admin.sample("customer_data/erase", **{SAMPLE_ID: customer_id}).status == 409
    page = manager.sample("archive_operations/list_holds")
    same(archive_views.LegalHoldPage, page.body)
    assert page.body["holds"] == [placed.body["hold"]]
    ids = {SAMPLE_HOLD: placed.body["hold"]["id"]}
    released = admin.sample("archive_operations/release_hold", **ids)
    assert (released.status, released.body["hold"]["release_reason"]) == (200, "the case is over")
    assert admin.sample("archive_operations/release_hold", **ids).raw == released.raw
    assert admin.sample("archive_operations/release_hold").status == 404
    assert manager.sample("archive_operations/list_holds").body["holds"] == []
    assert admin.sample("customer_data/erase", **{SAMPLE_ID: customer_id}).status == 200
