"""Stock files: previewed, applied once, refused as a whole, and resumed."""

import resource
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.flows.stock import import_stock as flow
from holdfast.flows.stock.import_stock import ImportStock, import_stock
from holdfast.inventory.stock_file import ImportMode
from holdfast.secrets.store import SecretStore
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import InvalidInput
from holdfast.web import stock_views
from tests.handlers.door import Door, Reply, checkout_body
from tests.handlers.stock_room import StockRoom
from tests.handlers.test_openapi import same
from tests.house import House

HEADER = "warehouse,sku,quantity\n"


@pytest.fixture
def room(door: Door) -> StockRoom:
    door.house.add_variant(stock=10)
    door.house.add_variant("CAP", stock=4)
    return StockRoom(door)


def send(room: StockRoom, rows: str, *, header: str = HEADER, **query: str) -> Reply:
    """Import a file as the manager."""
    return room.ask("POST /v1/ops/stock/imports", header + rows, key=None, query=query)


def changes(room: StockRoom) -> int:
    return int(room.house.value("SELECT count(*) FROM inventory.stock_movements"))


def test_the_samples_look_apply_and_list(room: StockRoom) -> None:
    room.house.add_variant("TEE-BLK-M", stock={"EWR": 1})
    before = room.door.rows_of_all_tables()
    looked = room.sample("stock_imports/dry_run")
    assert (looked.status, looked.body["import"]["status"], looked.body["import"]["rows"]) == (200, "checked", 2)
    assert room.door.rows_of_all_tables() == before
    applied = room.sample("stock_imports/import_file")
    assert (applied.status, applied.body["import"]["changed_levels"]) == (201, 2)
    assert room.house.stock("TEE-BLK-M") == {"EWR": (40, 0), "RNO": (25, 0)}
    listed = room.sample("stock_imports/list")
    assert [row["id"] for row in listed.body["imports"]] == [applied.body["import"]["id"]]
    same(stock_views.StockImportPage, listed.body)
    same(stock_views.StockImportAnswer, applied.body)
    assert room.house.violations() == []


def test_the_same_file_again_changes_nothing(room: StockRoom) -> None:
    rows = "EWR,TEE,25\nRNO,CAP,7\nEWR,CAP,4\n"
    first = send(room, rows)
    assert (first.status, first.body["import"]["changed_levels"]) == (201, 2), "a level that is right is left alone"
    assert room.door.ask("POST /v1/checkout", checkout_body()).status == 201
    room.house.clock.advance(minutes=1)
    before = room.door.rows_of_all_tables()
    again = send(room, rows)
    assert (again.status, again.body) == (200, first.body)
    assert room.door.rows_of_all_tables() == before
    assert room.house.stock() == {"EWR": (24, 0)}
    assert room.house.violations() == []


def test_receipts_and_adjustments_move_by_what_they_say(room: StockRoom) -> None:
    assert send(room, "EWR,TEE,5\nRNO,TEE,2\n", mode="receipts").status == 201
    assert send(room, "EWR,TEE,-3\nEWR,CAP,0\n", mode="adjustments", reason="counted").status == 201
    assert room.house.stock() == {"EWR": (12, 0), "RNO": (2, 0)}
    rows = room.house.rows(
        "SELECT type, reason FROM inventory.stock_movements WHERE reference_type = 'import' ORDER BY id"
    )
    assert [row["type"] for row in rows] == ["receive", "receive", "adjustment"]
    assert rows[-1]["reason"] == "counted"
    assert room.house.violations() == []


def test_safety_stock_comes_with_the_file_if_it_is_said(room: StockRoom) -> None:
    header = "\ufeffSKU, quantity ,Warehouse,note,safety_stock\r\n"
    assert send(room, 'TEE,10,EWR,"a, b",20\r\nCAP,4,EWR,,\r\n', header=header).status == 201
    found = room.house.rows("SELECT safety_stock FROM inventory.stock_levels ORDER BY safety_stock")
    assert [row["safety_stock"] for row in found] == [0, 20]
    assert room.house.violations() == []


def test_one_bad_row_and_nothing_is_imported_but_every_bad_row_is_named(room: StockRoom) -> None:
    declined = {"payment": {"gateway": "stripe", "token": "pm_card_visa_chargeDeclined"}}
    room.door.ask("POST /v1/checkout", checkout_body(3) | declined)
    moved = changes(room)
    rows = "EWR,CAP,9\nEWR,TEE,2\nXXX,TEE,1\nEWR,NONE,1\nEWR,CAP,x\nRNO,CAP,-1\n,CAP,1\nRNO,TEE,1,\nRNO,TEE,2\n"
    refused = send(room, rows)
    assert (refused.status, refused.body["code"], refused.body["bad_rows"]) == (422, "invalid_input", 7)
    assert sorted(error["field"] for error in refused.body["errors"]) == [
        "row 10, sku",
        "row 3, quantity",
        "row 4, warehouse",
        "row 5, sku",
        "row 6, quantity",
        "row 7, quantity",
        "row 8, warehouse",
    ]
    assert changes(room) == moved
    [record] = room.ask("GET /v1/ops/stock/imports").body["imports"]
    assert (record["id"], record["status"], record["bad_rows"]) == (refused.body["import_id"], "refused", 7)
    assert record["imported_by"] == f"staff:{room.who['sub']}"
    looked = send(room, rows, dry_run="true").body["import"]
    assert (looked["bad_rows"], len(looked["errors"])) == (7, 7)


def test_a_refused_file_may_come_again_when_its_trouble_is_mended(room: StockRoom) -> None:
    rows = "EWR,LATE,5\n"
    assert send(room, rows).status == 422
    room.house.add_variant("LATE", stock={})
    assert send(room, rows).status == 201
    assert room.house.stock("LATE") == {"EWR": (5, 0)}


def test_a_number_with_an_unquoted_comma_is_a_bad_row_and_not_a_smaller_number(room: StockRoom) -> None:
    moved = changes(room)
    looked = send(room, "EWR,TEE,1,000\n", dry_run="true").body["import"]
    assert looked["errors"] == [{"row": 2, "column": "", "message": "has 4 cells, the header 3"}]
    assert send(room, "EWR,TEE,1,000\n").status == 422
    assert changes(room) == moved


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("", ""),
        (HEADER, ""),
        ("warehouse,sku\n", "EWR,TEE\n"),
        ("warehouse,sku,quantity,price\n", "EWR,TEE,1,2\n"),
        ("sku,sku,quantity,warehouse\n", "a,b,1,EWR\n"),
        (HEADER, 'EWR,"TEE,1\n'),
        (HEADER, "EWR,TEE,99999999999999999999\n"),
        (HEADER, "EWR,TE\x00E,1\n"),
        (HEADER, "EWR," + "T" * 200_000 + ",1\n"),
    ],
)
def test_what_is_no_file_of_stock_moves_nothing(room: StockRoom, header: str, rows: str) -> None:
    moved = changes(room)
    assert send(room, rows, header=header).status == 422
    assert changes(room) == moved


def test_a_file_that_is_too_large_or_no_text_is_refused(room: StockRoom) -> None:
    assert send(room, "x" * (5 * 1024 * 1024)).status == 413
    route = "POST /v1/ops/stock/imports"
    assert room.ask(route, "/v8A", base64_encoded=True).status == 400


def test_a_run_that_runs_out_of_time_goes_on_when_the_file_comes_again(
    room: StockRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "BATCH_MAX_ROWS", 2)
    for number in range(5):
        room.house.add_variant(f"SKU-{number}", stock=1)
    rows = HEADER + "".join(f"EWR,SKU-{number},5\n" for number in range(5))
    command = ImportStock(manager(room), rows, ImportMode.RECEIPTS, "came in", dry_run=False)
    seen = []
    for _ in range(4):
        left: Iterator[float] = iter((1.0, 0.0))
        done = import_stock(room.house.runtime, command, room.house.clock, lambda left=left: next(left))
        seen.append((done["applied_rows"], done["status"]))
    assert seen == [(2, "running"), (4, "running"), (5, "applied"), (5, "applied")]
    assert room.house.value("SELECT sum(on_hand) FROM inventory.stock_levels") == 5 * 6 + 14
    assert room.house.violations() == []


@pytest.mark.timeout(900)
def test_a_hundred_thousand_rows_come_in_with_bounded_memory_and_list_their_bad_ones(room: StockRoom) -> None:
    many, bad = 100_000, 250
    stock_up(room.house, many // 2)
    good = [f"{code},M-{number},{number % 90}" for code in ("EWR", "RNO") for number in range(many // 2)]
    spoiled = [row if number % (many // bad) else f"{row}x" for number, row in enumerate(good)]
    caller = manager(room)

    def run(lines: list[str]) -> Any:
        command = ImportStock(caller, HEADER + "\n".join(lines), ImportMode.LEVELS, "count", dry_run=False)
        return import_stock(room.house.runtime, command, room.house.clock, lambda: 1.0)

    tracemalloc.start()
    with pytest.raises(InvalidInput) as refused:
        run(spoiled)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * 2**20, "the file, the hashes of its rows, and one batch"
    assert refused.value.facts["bad_rows"] == bad
    assert len(refused.value.facts["errors"]) == flow.ERRORS_SHOWN_MAX
    assert refused.value.facts["errors"][1] == {
        "field": f"row {2 + many // bad}, quantity",
        "message": "is no whole number of pieces",
    }
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = run(good)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 64 * 2**10, "kibibytes"
    assert (done["status"], done["rows"]) == ("applied", many)
    moved = changes(room)
    assert (run(good), changes(room)) == (done, moved), "the second import changes nothing"
    assert room.house.violations() == []


def stock_up(house: House, variants: int) -> None:
    """Insert this many variants, set-based."""
    house.sql(
        "INSERT INTO catalog.variants (organization_id, id, product_id, sku, price, currency, created_at)"
        " SELECT organization_id, gen_random_uuid(), product_id, 'M-' || n, 100, 'USD', created_at"
        "   FROM catalog.variants, generate_series(0, :last) AS n WHERE sku = 'TEE'",
        last=variants - 1,
    )
    house.sql("ANALYZE catalog.variants")


def manager(room: StockRoom) -> Caller:
    return Caller(room.house.organization_id, CallerKind.STAFF, room.who["sub"])


def test_another_shops_file_is_none_of_ours(room: StockRoom, stripe_url: str, secret_store: SecretStore) -> None:
    assert send(room, "EWR,TEE,3\n").status == 201
    with House(room.house.owner, stripe_url, secret_store) as other:
        room.who = room.door.staff("owner", organization_id=other.organization_id)
        assert room.ask("GET /v1/ops/stock/imports").body["imports"] == []
        assert send(room, "EWR,TEE,3\n").status == 422, "the same file names nothing of theirs"
    assert room.house.stock() == {"EWR": (3, 0)}
