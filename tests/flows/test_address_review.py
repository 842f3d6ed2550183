"""An order whose address nobody could locate is paid, and then waits for its shopper until a deadline."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.flows.addresses import watch_reviews as flow
from holdfast.flows.addresses.settle_address import AddressNotFound
from holdfast.flows.addresses.watch_reviews import watch_reviews
from holdfast.secrets.store import SecretStore
from holdfast.values.errors import InvalidInput, TransitionRefused
from holdfast.values.shipping import ShippingPreference
from local.postgres import Address
from tests.flows import moving
from tests.flows.actions import ordered, status, topics
from tests.flows.reviewing import (
    ALSO_UNKNOWN,
    FRIDAY_AT_FOUR,
    TO_RENO,
    WEDNESDAY_AT_FOUR,
    answer,
    in_review,
    review,
    reviewing_shop,
    steps,
    token,
    watch,
)
from tests.house import House, document
from tests.premises import DENVER


@pytest.fixture
def shop(house: House) -> House:
    return reviewing_shop(house)


def settings(house: House, **values: object) -> None:
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings || CAST(:settings AS jsonb) WHERE id = :o",
        settings=json.dumps(values),
        o=house.organization_id,
    )


# --- it begins -------------------------------------------------------------------------------------------------------


def test_money_takes_an_order_with_an_unknown_address_to_its_review(shop: House) -> None:
    order_id = in_review(shop)
    assert shop.timeline(order_id)[-2:] == ["payment_confirmed", "address_review"]
    begun = review(shop, order_id)
    assert (begun["status"], begun["timezone"]) == ("pending", "America/Denver")
    assert begun["deadline_at"] == WEDNESDAY_AT_FOUR
    assert begun["reminder_at"] == shop.clock() + timedelta(hours=60)
    assert steps(shop, order_id) == ["begun"]
    assert [topic for _, topic in topics(shop, order_id)] == [
        "order.created",
        "order.paid",
        "order.address_review_needed",
    ]
    assert shop.stock()["EWR"] == (9, 0), "the goods are the shopper's: sold, and not yet to be shipped"
    assert shop.value("SELECT count(*) FROM fulfillment.shipments") == 0
    assert shop.violations() == []


@pytest.mark.parametrize(
    ("preference", "hours"),
    [(ShippingPreference.EXPEDITED, 24), (ShippingPreference.STANDARD, 120), (ShippingPreference.ECONOMY, 144)],
)
def test_the_deadline_is_that_of_the_shipping_preference(
    shop: House, preference: ShippingPreference, hours: int
) -> None:
    order_id = in_review(shop, preference=preference)
    assert review(shop, order_id)["deadline_at"] == shop.clock() + timedelta(hours=hours)


def test_the_deadline_is_counted_on_the_clock_that_the_shopper_has_on_record(shop: House) -> None:
    ordered(shop)
    shop.sql("UPDATE tenancy.customers SET timezone = 'Asia/Tokyo'")
    # It is Saturday, 08:00 in Tokyo, so the business hours are all of Monday, Tuesday and Wednesday there.
    begun = review(shop, in_review(shop))
    assert begun["timezone"] == "Asia/Tokyo"
    assert begun["deadline_at"] == FRIDAY_AT_FOUR.replace(month=12, day=2, hour=15)


def test_a_calendar_that_makes_no_sense_stops_no_order_and_a_person_is_told(shop: House) -> None:
    settings(shop, business_calendars={"*": {"working_days": []}})
    order_id = in_review(shop)
    assert review(shop, order_id)["deadline_at"] == WEDNESDAY_AT_FOUR
    assert shop.failures() == ["BusinessCalendar"]


def test_a_shop_that_reviews_no_addresses_confirms_at_once(shop: House) -> None:
    settings(shop, address_review=False)
    order = document(shop.place({"TEE": 1}, address=replace(DENVER, postal_code="80299")))["order"]
    assert order["status"] == "confirmed"
    assert shop.value("SELECT count(*) FROM addresses.reviews") == 0


def test_a_confirmed_order_that_is_given_an_unknown_address_is_reviewed_too(shop: House) -> None:
    order_id = ordered(shop, address=DENVER)
    elsewhere = replace(moving.PORTLAND, postal_code="99998", country="JP", region=None)
    moving.readdress(shop, order_id, elsewhere)
    begun = review(shop, order_id)
    assert (status(shop, order_id), begun["timezone"]) == ("address_review", "Asia/Tokyo")
    answer(shop, token(shop, order_id), confirm=True)
    assert status(shop, order_id) == "confirmed"
    assert shop.violations() == []


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_corrected_address_ships_from_where_that_is_best_and_confirms_the_order(shop: House) -> None:
    shop.receive("TEE", "RNO", 10)
    order_id = in_review(shop, address=replace(moving.NEWARK, postal_code="07999"))
    assert shop.stock()["EWR"] == (9, 0)
    shown = answer(shop, token(shop, order_id), TO_RENO)
    assert (shown["status"], shown["address"]["city"]) == ("corrected", "Reno")
    order = shop.order(order_id)
    assert order["status"] == "confirmed"
    assert order["shipping_address"] == moving.RENO.to_json(), "the name is who it was"
    assert shop.stock() == {"EWR": (10, 0), "RNO": (9, 0)}
    [moved] = moving.reallocations(shop, order_id)
    assert (moved["cause"], moved["outcome"], moved["decided_by"]) == (
        "address_review",
        "applied",
        "customer:address_review_link",
    )
    assert (
        shop.value(
            "SELECT w.code FROM fulfillment.shipments s JOIN inventory.warehouses w ON w.id = s.warehouse_id"
            " WHERE s.order_id = :id AND s.status = 'pending'",
            id=order_id,
        )
        == "RNO"
    )
    assert steps(shop, order_id) == ["begun", "corrected"]
    assert [topic for _, topic in topics(shop, order_id)][-2:] == ["order.address_changed", "order.confirmed"]
    assert shop.value("SELECT geocode_requires_review FROM orders.orders WHERE id = :id", id=order_id) is False
    assert shop.violations() == []


def test_a_shopper_may_say_that_the_address_is_right(shop: House) -> None:
    order_id = in_review(shop)
    assert answer(shop, token(shop, order_id), confirm=True)["status"] == "resolved"
    assert status(shop, order_id) == "confirmed"
    assert steps(shop, order_id) == ["begun", "resolved"]
    assert shop.stock()["EWR"] == (9, 0)
    assert moving.reallocations(shop, order_id) == []
    assert shop.value("SELECT count(*) FROM fulfillment.shipments WHERE order_id = :id", id=order_id) == 1
    assert shop.violations() == []


def test_a_correction_that_is_not_found_either_changes_nothing_until_the_shopper_insists(shop: House) -> None:
    order_id = in_review(shop)
    link = token(shop, order_id)
    with pytest.raises(AddressNotFound) as refused:
        answer(shop, link, ALSO_UNKNOWN)
    assert refused.value.facts["reason"] == "unknown_postal_code"
    assert (status(shop, order_id), steps(shop, order_id)) == ("address_review", ["begun"])
    assert answer(shop, link, ALSO_UNKNOWN, confirm=True)["status"] == "corrected"
    assert status(shop, order_id) == "confirmed"
    assert shop.order(order_id)["shipping_address"]["postal_code"] == "80298"
    assert shop.value("SELECT count(*) FROM addresses.geocode_failures WHERE order_id = :id", id=order_id) == 2
    assert shop.violations() == []


def test_the_address_that_it_was_is_no_correction(shop: House) -> None:
    order_id = in_review(shop)
    same = replace(ALSO_UNKNOWN, line1=DENVER.line1, city=DENVER.city, postal_code="80299")
    assert answer(shop, token(shop, order_id), same, confirm=True)["status"] == "resolved"
    assert steps(shop, order_id) == ["begun", "resolved"]


def test_a_correction_to_where_tax_is_less_gives_the_difference_back(shop: House) -> None:
    order_id = in_review(shop, address=replace(moving.NEWARK, postal_code="07999"))
    before = shop.charges()
    portland = moving.PORTLAND
    to_portland = replace(
        TO_RENO, line1=portland.line1, city=portland.city, postal_code=portland.postal_code, region=portland.region
    )
    answer(shop, token(shop, order_id), to_portland)
    [(reason, amount, state)] = moving.refunds(shop, order_id)
    assert (reason, state) == ("price_difference", "succeeded")
    assert shop.charges()["refunded"] == before["refunded"] + amount
    assert shop.violations() == []


def test_what_the_shop_does_not_ship_to_is_refused_and_the_link_stays_good(shop: House) -> None:
    settings(shop, shipping_rates=[{"preference": "standard", "country": "US", "amount_minor": 500}])
    order_id = in_review(shop)
    link = token(shop, order_id)
    abroad = replace(ALSO_UNKNOWN, country="FR", postal_code="75001", city="Paris", region=None)
    with pytest.raises(InvalidInput):
        answer(shop, link, abroad, confirm=True)
    assert (status(shop, order_id), steps(shop, order_id)) == ("address_review", ["begun"])
    answer(shop, link, confirm=True)
    assert status(shop, order_id) == "confirmed"


# --- the clock -------------------------------------------------------------------------------------------------------


def test_nobody_answers_and_the_order_is_cancelled_with_money_and_goods_returned(shop: House) -> None:
    order_id = in_review(shop)
    taken = shop.charges()["captured"]
    shop.clock.now = WEDNESDAY_AT_FOUR - timedelta(microseconds=1)
    assert watch(shop).cancelled == 0
    shop.clock.now = WEDNESDAY_AT_FOUR
    assert watch(shop).cancelled == 1
    assert status(shop, order_id) == "cancelled"
    assert shop.charges()["refunded"] == taken
    assert shop.stock()["EWR"] == (10, 0)
    ended = review(shop, order_id)
    assert (ended["status"], ended["resolved_at"], ended["resolved_by"]) == (
        "cancelled",
        WEDNESDAY_AT_FOUR,
        "system:address_review",
    )
    assert steps(shop, order_id)[-1] == "expired"
    assert [topic for _, topic in topics(shop, order_id)][-1] == "order.cancelled"
    assert watch(shop).cancelled == 0
    assert shop.violations() == []


def test_held_money_is_voided_at_the_deadline(shop: House) -> None:
    settings(shop, capture_policy="at_first_shipment")
    order_id = in_review(shop)
    assert shop.order(order_id)["payment_status"] == "authorized"
    shop.clock.now = WEDNESDAY_AT_FOUR
    watch(shop)
    assert shop.order(order_id)["payment_status"] == "cancelled"
    assert shop.charges()["captured"] == 0
    assert shop.violations() == []


def test_the_reminder_goes_out_once_at_half_time(shop: House) -> None:
    order_id = in_review(shop)
    half = review(shop, order_id)["reminder_at"]
    shop.clock.now = half - timedelta(microseconds=1)
    assert watch(shop).reminded == 0
    shop.clock.now = half
    assert [watch(shop).reminded for _ in range(3)] == [1, 0, 0]
    assert steps(shop, order_id) == ["begun", "reminded"]
    reminders = shop.rows(
        "SELECT payload, sequence FROM operations.outbox WHERE topic = 'order.address_review_reminder'"
    )
    assert [row["payload"]["order_id"] for row in reminders] == [order_id]
    assert set(reminders[0]["payload"]) == {"order_id", "order_number", "status", "review_id", "deadline_at"}
    assert shop.violations() == []


def test_whose_deadline_has_passed_is_not_reminded_any_more(shop: House) -> None:
    order_id = in_review(shop)
    shop.clock.now = WEDNESDAY_AT_FOUR
    done = watch(shop)
    assert (done.reminded, done.cancelled) == (0, 1)
    assert steps(shop, order_id) == ["begun", "expired"]


def test_a_settled_review_is_neither_reminded_nor_ended(shop: House) -> None:
    order_id = in_review(shop)
    answer(shop, token(shop, order_id), confirm=True)
    shop.clock.now = WEDNESDAY_AT_FOUR
    done = watch(shop)
    assert (done.reminded, done.cancelled, status(shop, order_id)) == (0, 0, "confirmed")


def test_the_watch_stops_when_its_time_is_over_and_goes_on_the_next_time(shop: House) -> None:
    for _ in range(3):
        in_review(shop)
    shop.clock.now = WEDNESDAY_AT_FOUR
    left = iter([60.0, 60.0, 60.0])
    assert watch_reviews(shop.system, shop.clock, lambda: next(left, 0.0)).cancelled == 2
    assert watch(shop).cancelled == 1


def test_one_order_that_cannot_be_cancelled_keeps_no_other_from_its_deadline(shop: House) -> None:
    broken, sound = in_review(shop), in_review(shop)
    # No flow leaves this behind: an order that moved on without its review.
    shop.sql(
        "INSERT INTO orders.order_status_history (organization_id, order_id, sequence, from_status, to_status,"
        " changed_by, created_at) SELECT organization_id, id, status_sequence + 1, status, 'confirmed', 'test', :now"
        " FROM orders.orders WHERE id = :id",
        id=broken,
        now=shop.clock(),
    )
    shop.clock.now = WEDNESDAY_AT_FOUR
    done = watch(shop)
    assert (done.cancelled, done.failed) == (1, 1)
    assert (status(shop, sound), status(shop, broken)) == ("cancelled", "confirmed")
    assert shop.failures() == ["AddressReviewDeadline"]


@pytest.fixture
def neighbours(shop: House, db: Address, stripe_url: str, secret_store: SecretStore) -> Iterator[tuple[House, House]]:
    """Two shops of one system, in the order in which they were founded."""
    with House(db, stripe_url, secret_store) as other:
        yield shop, reviewing_shop(other)


@pytest.mark.parametrize("broken", [0, 1], ids=["the first", "the last"])
def test_one_organization_that_fails_keeps_no_other_from_reminder_and_deadline(
    neighbours: tuple[House, House], broken: int, caplog: pytest.LogCaptureFixture
) -> None:
    ill, well = neighbours[broken], neighbours[1 - broken]
    orders = {shop.organization_id: in_review(shop) for shop in neighbours}
    lasting_trouble(ill, "addresses.reviews", "UPDATE")
    well.clock.now = review(well, orders[well.organization_id])["reminder_at"]
    for minute in range(3):
        well.clock.advance(minutes=1)
        done = watch(well)
        assert (done.reminded, done.failed) == (1 if minute == 0 else 0, 1)
    assert str(ill.organization_id) in caplog.text
    lasting_trouble(ill, "operations.process_failures", "INSERT")
    well.clock.now = WEDNESDAY_AT_FOUR
    for minute in range(3):
        well.clock.advance(minutes=1)
        done = watch(well)
        assert (done.cancelled, done.failed) == (1 if minute == 0 else 0, 2), "its order, and the call for a person"
    assert status(well, orders[well.organization_id]) == "cancelled"
    assert status(ill, orders[ill.organization_id]) == "address_review"


def test_deadlines_that_cannot_be_read_keep_nobody_from_a_reminder(
    neighbours: tuple[House, House], monkeypatch: pytest.MonkeyPatch
) -> None:
    for shop in neighbours:
        order_id = in_review(shop)
    monkeypatch.setattr(flow, "DEADLINES_MAX_ROWS", -1)
    shop.clock.now = review(shop, order_id)["reminder_at"]
    done = watch(shop)
    assert (done.reminded, done.failed) == (2, 2)


def test_who_is_last_when_the_time_runs_out_is_first_a_minute_later(neighbours: tuple[House, House]) -> None:
    first, second = neighbours
    for shop in neighbours:
        in_review(shop)
        in_review(shop)
    first.clock.now = WEDNESDAY_AT_FOUR
    reached = set()
    for _ in range(2):
        left = iter([60.0, 60.0])
        assert watch_reviews(first.system, first.clock, lambda left=left: next(left, 0.0)).cancelled == 1
        reached |= {
            shop.organization_id
            for shop in neighbours
            if shop.value(
                "SELECT count(*) FROM orders.orders WHERE organization_id = :o AND status = 'cancelled'",
                o=shop.organization_id,
            )
        }
        first.clock.advance(minutes=1)
    assert reached == {first.organization_id, second.organization_id}


def lasting_trouble(house: House, table: str, act: str) -> None:
    """Make every such write of this organization fail from now on."""
    name = f"trouble_of_{table.partition('.')[2]}"
    house.sql(
        f"CREATE FUNCTION public.{name}() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a lasting trouble'; END $$"
    )
    house.sql(
        f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW"
        f" WHEN (NEW.organization_id = '{house.organization_id}') EXECUTE FUNCTION public.{name}()"
    )


# --- other ways out --------------------------------------------------------------------------------------------------


def test_a_cancellation_by_the_shopper_ends_the_review(shop: House) -> None:
    order_id = in_review(shop)
    shop.cancel(order_id)
    ended = review(shop, order_id)
    assert (ended["status"], steps(shop, order_id)) == ("cancelled", ["begun", "cancelled"])
    shop.clock.now = WEDNESDAY_AT_FOUR
    assert watch(shop).cancelled == 0
    assert shop.violations() == []


def test_an_address_under_review_is_not_changed_behind_its_back(shop: House) -> None:
    order_id = in_review(shop)
    with pytest.raises(Exception, match="being reviewed") as refused:
        moving.readdress(shop, order_id)
    assert not isinstance(refused.value, TransitionRefused)
