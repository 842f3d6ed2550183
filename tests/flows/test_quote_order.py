from typing import Any

import pytest

from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.checkout.quote_order import quote_order
from holdfast.secrets.store import SecretStore
from holdfast.values.errors import CapacityExceeded, InvalidInput, OutOfStock, PriceChanged
from holdfast.values.shipping import ShippingPreference
from local.postgres import Address
from tests.flows.actions import ordered
from tests.house import House, document
from tests.premises import DENVER


def quote(house: House, *items: RequestedItem, allow_capacity_overflow: bool = True) -> dict[str, Any]:
    request = CheckoutRequest(items, DENVER, ShippingPreference.STANDARD, allow_capacity_overflow)
    return quote_order(house.runtime, house.customer, request, house.clock())


def test_a_quote_costs_what_the_checkout_will_and_says_why_it_ships_from_there(house: House) -> None:
    house.add_variant(stock={"EWR": 5, "RNO": 5})
    quoted = quote(house, RequestedItem(2, sku="TEE"))
    (assignment,) = quoted["allocation"]["assignments"]
    assert (assignment["warehouse"], assignment["quantity"]) == ("RNO", 2)
    assert {"EWR", "RNO"} <= set(str(quoted["allocation"]["reasons"]).replace("'", " ").split())
    order = document(house.place({"TEE": 2}))["order"]
    assert {name: order["amounts"][name] for name in quoted["amounts"]} == quoted["amounts"]
    assert {row["warehouse"] for row in order["allocations"]} == {"RNO"}


def test_a_quote_writes_nothing(house: House) -> None:
    house.add_variant(stock=5)
    written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables"
    before = house.stock()
    with house.runtime.database.transaction(house.organization_id, now=house.clock(), actor="test") as transaction:
        transaction.execute("SET TRANSACTION READ ONLY")
        assert transaction.value(written) == 0
    quote(house, RequestedItem(2, sku="TEE"))
    assert house.stock() == before
    for table in ("orders.orders", "orders.idempotency_keys", "tenancy.customers", "inventory.reservations"):
        assert house.value(f"SELECT count(*) FROM {table}") == 0, table


def test_the_same_variant_twice_adds_up_and_is_checked_as_one(house: House) -> None:
    variant_id = house.add_variant(stock=5)
    quoted = quote(house, RequestedItem(2, sku="TEE"), RequestedItem(3, variant_id=variant_id))
    assert [(line["sku"], line["quantity"]) for line in quoted["items"]] == [("TEE", 5)]
    with pytest.raises(OutOfStock) as refused:
        quote(house, RequestedItem(3, sku="TEE"), RequestedItem(3, sku="TEE"))
    (short,) = refused.value.facts["items"]
    assert (short["requested"], short["available"]) == (6, 5)


def test_a_price_that_changed_is_refused_with_the_new_one(house: House) -> None:
    house.add_variant(price=2_000)
    with pytest.raises(PriceChanged) as refused:
        quote(house, RequestedItem(1, sku="TEE", unit_price_minor=1_500))
    (item,) = refused.value.facts["items"]
    assert (item["sku"], item["sent"], item["current"], item["currency"]) == ("TEE", 1_500, 2_000, "USD")
    assert quote(house, RequestedItem(1, sku="TEE", unit_price_minor=2_000))["amounts"]["subtotal_minor"] == 2_000


def test_everything_that_is_not_sold_here_is_named_at_once(
    house: House, db: Address, stripe_url: str, secret_store: SecretStore
) -> None:
    house.add_variant("TEE")
    house.add_variant("OLD")
    house.sql("UPDATE catalog.variants SET status = 'archived' WHERE sku = 'OLD'")
    with House(db, stripe_url, secret_store) as other:
        theirs = other.add_variant("THEIRS")
        with pytest.raises(InvalidInput) as refused:
            quote(
                house,
                RequestedItem(1, sku="TEE"),
                RequestedItem(1, sku="NONE"),
                RequestedItem(1, sku="THEIRS"),
                RequestedItem(1, variant_id=theirs),
                RequestedItem(1, sku="OLD"),
            )
    assert [error["field"] for error in refused.value.facts["errors"]] == [
        "items[1].sku",
        "items[2].sku",
        "items[3].variant_id",
        "items[4].sku",
    ]


def test_holds_count_as_taken(house: House) -> None:
    house.add_variant(stock=3)
    ordered(house, {"TEE": 2}, token="pm_card_authenticationRequired")
    with pytest.raises(OutOfStock) as refused:
        quote(house, RequestedItem(2, sku="TEE"))
    assert refused.value.facts["items"][0]["available"] == 1


def test_capacity_counts_in_a_quote_as_in_a_checkout(house: House) -> None:
    house.add_warehouse("FULL", 39.0, -105.0, capacity=1)
    house.add_variant(stock={"FULL": 5})
    ordered(house)
    with pytest.raises(CapacityExceeded):
        quote(house, RequestedItem(1, sku="TEE"), allow_capacity_overflow=False)
    assert quote(house, RequestedItem(1, sku="TEE"))["allocation"]["assignments"][0]["warehouse"] == "FULL"
