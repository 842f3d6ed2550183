"""A shop's file makes a shop that sells, and applying the same file again changes nothing."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.flows.shops.open_shop import open_shop
from holdfast.inventory.allocation import ORDER_WAREHOUSES_MAX
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.web.shop_models import shop_file_from
from tests.house import House

FILE = json.loads((Path(__file__).parents[2] / "events" / "migrate" / "open_shop.json").read_text())
RATE = {"preference": "standard", "amount_minor": "499"}
TABLES = (
    "tenancy.organizations", "tenancy.users", "tenancy.organization_members", "tenancy.gateway_accounts",
    "inventory.warehouses", "inventory.stock_levels", "inventory.stock_movements", "catalog.products",
    "catalog.variants", "operations.audit_log",
)  # fmt: skip


@pytest.fixture
def owner(house: House) -> Iterator[Runtime]:
    """A runtime in the role of the migrate function."""
    runtime = house._runtime("holdfast_owner", house.runtime.secrets)
    yield runtime
    runtime.database.engine.dispose()


@pytest.fixture
def file(house: House) -> dict[str, Any]:
    """The sample file, with the secret of the house's account at the gateway."""
    made = copy.deepcopy(FILE)
    made["gateways"][0]["secret_reference"] = house.secret_reference
    return made


def opened(house: House, owner: Runtime, file: dict[str, Any]) -> dict[str, Any]:
    return open_shop(owner, shop_file_from(file), house.clock.now)


def rows(house: House) -> dict[str, Any]:
    """Return every row of every table that a shop's file touches."""
    return {
        table: house.value(f"SELECT jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)) FROM {table} t") for table in TABLES
    }


def test_a_shop_of_its_file_takes_an_order(house: House, owner: Runtime, file: dict[str, Any]) -> None:
    shop = opened(house, owner, file)
    assert shop["rows"]["stock"] == {"levels_made": 2, "pieces_received": 65, "levels_left_alone": 0}
    house.customer = Caller(shop["organization_id"], CallerKind.CUSTOMER, "bob", "bob@example.com")
    answer = house.place({"THROW-GREY": 2})
    assert (answer.status, json.loads(answer.body)["order"]["status"]) == (201, "confirmed")
    assert house.violations() == []


@pytest.mark.parametrize("split_warehouses_max", range(1, ORDER_WAREHOUSES_MAX + 1))
def test_whatever_settings_are_taken_an_order_is_placed_with_them(
    house: House, owner: Runtime, file: dict[str, Any], split_warehouses_max: int
) -> None:
    rates = [RATE | {"free_from_minor": "5000"}]
    file["shop"] |= {"split_warehouses_max": split_warehouses_max, "shipping_rates": rates}
    shop = opened(house, owner, file)
    house.customer = Caller(shop["organization_id"], CallerKind.CUSTOMER, "bob", "bob@example.com")
    assert house.place({"THROW-GREY": 1}).status == 201


def test_the_same_file_again_changes_nothing(house: House, owner: Runtime, file: dict[str, Any]) -> None:
    first = opened(house, owner, file)
    before = rows(house)
    again = opened(house, owner, file)
    assert rows(house) == before
    assert (again["organization_id"], again["publishable_key"]) == (first["organization_id"], first["publishable_key"])
    assert [told for told in again["rows"].values() if told.get("made") or told.get("changed")] == []


def test_a_changed_file_changes_what_it_names_and_opening_stock_counts_once(
    house: House, owner: Runtime, file: dict[str, Any]
) -> None:
    opened(house, owner, file)
    file["products"][0]["variants"] = [{"sku": "THROW-GREY", "price_minor": 9900}]
    file["stock"] = [{"warehouse": "CHI", "sku": "THROW-GREY", "quantity": 1000}]
    file["shop"] |= {"capture_policy": "per_shipment"}
    del file["shop"]["tax_rates"]
    told = opened(house, owner, file)["rows"]
    assert told["variants"] == {"made": 0, "changed": 1, "unchanged": 0}
    assert told["stock"] == {"levels_made": 0, "pieces_received": 0, "levels_left_alone": 1}
    assert house.value("SELECT array_agg(price ORDER BY sku) FROM catalog.variants") == [9900, 8900]
    assert house.value("SELECT max(on_hand) FROM inventory.stock_levels") == 40
    settings = house.value("SELECT settings FROM tenancy.organizations WHERE slug = 'north-loft'")
    assert (settings["capture_policy"], settings["tax_rates"][0]["basis_points"]) == ("per_shipment", 625)


def test_a_shop_changes_hands_only_when_its_owner_is_named(house: House, owner: Runtime, file: dict[str, Any]) -> None:
    opened(house, owner, file)
    former, heir = file["staff"]
    file["staff"] = [heir | {"role": "owner"}]
    with pytest.raises(Conflict, match="north-owner is the owner"):
        opened(house, owner, file)
    file["staff"] = [heir | {"role": "owner"}, former | {"role": "admin"}]
    assert opened(house, owner, file)["rows"]["staff"] == {"made": 0, "changed": 2, "unchanged": 0}
    roles = """
        SELECT jsonb_object_agg(u.auth_subject, m.role)
          FROM tenancy.organization_members m JOIN tenancy.users u ON u.id = m.user_id
    """
    assert house.value(roles) == {"north-owner": "admin", "north-manager": "owner"}


def change(path: str, value: Any) -> Any:
    """Return a function that replaces one value of a file.

    ``path`` is dotted; a number is an index into a list.
    """

    def changed(file: dict[str, Any]) -> None:
        *way, last = path.split(".")
        at: Any = file
        for step in way:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = value

    return changed


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (change("shop.colour", "red"), "shop.colour"),
        (change("shop.timezone", "Mars/Olympus"), "shop.timezone"),
        (change("warehouses.0.timezone", "America/Nowhere"), "warehouses.0.timezone"),
        (change("shop.tax_rates", [{"country": "US"}]), "shop"),
        (change("shop.tax_rates", [{"country": "US", "region": "Colorodo", "basis_points": 290}]), "shop"),
        (change("shop.tax_rates", [{"country": "US", "region": "-", "basis_points": 290}]), "shop"),
        (change("shop.shipping_rates", [RATE | {"free_from_minor": "much"}]), "shop"),
        (change("shop.shipping_rates", [RATE | {"country": ["US"]}]), "shop"),
        (change("shop.split_warehouses_max", 4), "shop.split_warehouses_max"),
        (change("shop.business_calendars", {"US": {"opens": "25:00"}}), "shop"),
        (change("shop.archive_strategy", "none"), "shop.archive_strategy"),
        (change("products.0.variants.0.price_minor", -1), "products.0.variants.0.price_minor"),
        (change("products.0.variants.0.price_minor", 12.5), "products.0.variants.0.price_minor"),
        (change("products.0.variants.1.sku", "THROW-GREY"), ""),
        (change("staff.1.role", "owner"), ""),
        (change("gateways.0.gateway", "cash"), "gateways.0.gateway"),
        (change("stock.1.sku", "THROW-GOLD"), "stock.1"),
        (change("stock.0.warehouse", "NYC"), "stock.0"),
        (change("shop.name", "\x00"), "shop.name"),
    ],
)
def test_what_makes_no_sense_is_named_and_nothing_is_written(
    house: House, owner: Runtime, file: dict[str, Any], wrong: Any, field: str
) -> None:
    before = rows(house)
    wrong(file)
    with pytest.raises(InvalidInput) as refused:
        opened(house, owner, file)
    assert [error["field"] for error in refused.value.facts["errors"]] == [field]
    assert rows(house) == before


def test_a_currency_without_rates_is_refused(house: House, owner: Runtime, file: dict[str, Any]) -> None:
    file["shop"]["currency"] = "EUR"
    del file["shop"]["shipping_rates"]
    with pytest.raises(InvalidInput) as refused:
        opened(house, owner, file)
    assert "shipping_rates are needed" in refused.value.facts["errors"][0]["message"]


def test_no_shop_takes_another_ones_keys(house: House, owner: Runtime, file: dict[str, Any]) -> None:
    file["gateways"][0]["endpoint_key"] = house.endpoint_key
    with pytest.raises(Conflict, match="endpoint key"):
        opened(house, owner, file)
    file["gateways"] = []
    file["shop"]["publishable_key"] = house.publishable_key
    with pytest.raises(Conflict, match="publishable key"):
        opened(house, owner, file)
    assert house.value("SELECT count(*) FROM tenancy.organizations") == 1
