"""What a checkout costs on the network, counted on the wire."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.addresses.model import GeocodeQuality
from holdfast.geocoders.port import GeocodedPlace
from holdfast.secrets.store import SecretStore
from holdfast.values.address import Address as PostalAddress
from holdfast.values.coordinates import Coordinates
from local.postgres import Address
from tests.database.acting import APP, SYSTEM
from tests.database.round_trips import Proxy
from tests.flows.mailing import events, notify
from tests.house import House
from tests.mail.stage import Post
from tests.premises import DENVER

PLACING = [
    ["BEGIN; SELECT set_config("],
    ["SELECT checkout.facts("],
    ["SELECT checkout.place(", "COMMIT"],
]
SETTLING = [
    ["BEGIN; SELECT set_config("],
    ["SELECT payments.store_event("],
    ["SELECT checkout.lock_order("],
    ["SELECT checkout.settle("],
    ["SELECT orders.store_answer(", "COMMIT"],
]


@pytest.fixture
def wire(db: Address) -> Iterator[Proxy]:
    with Proxy(db) as proxy:
        yield proxy


@pytest.fixture
def house(wire: Proxy, db: Address, aws: str, stripe_url: str, secret_store: SecretStore) -> Iterator[House]:
    """Yield a house that sends every statement through the proxy."""
    with House(wire.of(db), stripe_url, secret_store) as made:
        for number in range(10):
            made.add_variant(f"SKU-{number}", stock=100)
        made.place({"SKU-0": 1})  # opens the connection and creates the customer
        yield made


def checkout(house: House, wire: Proxy, lines: int) -> list[list[str]]:
    before = len(wire.trips(APP))
    answer = house.place({f"SKU-{number}": 1 for number in range(lines)})
    assert answer.status == 201
    return wire.trips(APP)[before:]


def shortened(trips: list[list[str]], like: list[list[str]]) -> list[list[str]]:
    """Return the statements, each cut to the length of the expected text."""
    return [
        [" ".join(said.split())[: len(expected)] for said, expected in zip(trip, wanted, strict=False)]
        for trip, wanted in zip(trips, like, strict=False)
    ]


def test_placing_an_order_of_ten_lines_is_three_round_trips_and_the_whole_checkout_eight(
    house: House, wire: Proxy
) -> None:
    trips = checkout(house, wire, 10)
    assert shortened(trips, PLACING + SETTLING) == PLACING + SETTLING
    assert [len(trip) for trip in trips] == [len(trip) for trip in PLACING + SETTLING]
    assert len(PLACING) <= 8, "the limit"
    assert house.violations() == []


def test_neither_round_trips_nor_statements_grow_with_the_lines(house: House, wire: Proxy) -> None:
    costs = [[len(trip) for trip in checkout(house, wire, lines)] for lines in (1, 3, 10)]
    assert costs[0] == costs[1] == costs[2]


def test_the_driver_counts_as_the_network_does(house: House, wire: Proxy) -> None:
    with house.runtime.database.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
    before = raw.round_trips  # type: ignore[union-attr]
    trips = checkout(house, wire, 3)
    assert raw.round_trips - before == len(trips)  # type: ignore[union-attr]


def test_a_lost_race_costs_as_much_again_and_no_more(house: House, wire: Proxy) -> None:
    """When the stock that was read is gone by the time it is reserved, the checkout reads and decides again."""
    before = len(wire.trips(APP))
    house.sql(
        "CREATE FUNCTION orders.lose_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('orders.races') = 1 THEN RAISE EXCEPTION 'lost' USING ERRCODE = 'HF001'; END IF;"
        " RETURN NEW; END $$"
    )
    house.sql("CREATE SEQUENCE orders.races")
    house.sql("GRANT USAGE ON SEQUENCE orders.races TO holdfast_app")
    house.sql(
        "CREATE TRIGGER lose_once BEFORE INSERT ON orders.orders FOR EACH ROW EXECUTE FUNCTION orders.lose_once()"
    )
    assert house.place({"SKU-1": 1}).status == 201
    trips = wire.trips(APP)[before:]
    assert shortened(trips, PLACING + PLACING + SETTLING) == PLACING + PLACING + SETTLING
    assert len(trips) - len(PLACING) - len(SETTLING) <= 6, "the limit of a lost race"


def test_an_address_that_is_known_or_that_nobody_can_be_asked_for_costs_no_round_trip(
    house: House, wire: Proxy
) -> None:
    abroad = replace(DENVER, country="DE", postal_code="10115", city="Berlin", region=None)
    reviewed = [*SETTLING[:3], ["SELECT o.shipping_address"], *SETTLING[3:]]
    known = replace(DENVER, line1="13 Analytical Way")
    # An order whose address is reviewed once it is paid also reads which calendar and clock set the deadline.
    for address, settling in ((DENVER, SETTLING), (abroad, reviewed), (known, SETTLING)):
        before = len(wire.trips(APP))
        assert house.place({"SKU-1": 1}, address=address).status == 201
        trips = wire.trips(APP)[before:]
        assert shortened(trips, PLACING + settling) == PLACING + settling
        assert len(trips) == len(PLACING) + len(settling)


def test_asking_the_geocoder_costs_a_transaction_that_ended_before_it_was_asked(house: House, wire: Proxy) -> None:
    class Geocoder:
        def find(self, address: PostalAddress) -> GeocodedPlace:
            asked_after.append(wire.trips(APP)[before:])
            return GeocodedPlace(Coordinates(43.65, -79.38), GeocodeQuality.ROOFTOP)

    asked_after: list[list[list[str]]] = []
    house.runtime.__dict__["geocoder"] = Geocoder()
    before = len(wire.trips(APP))
    abroad = replace(DENVER, country="CA", postal_code="M5V 2T6", city="Toronto", region="ON")
    assert house.place({"SKU-1": 1}, address=abroad).status == 201
    looked = [*PLACING[:2], ["COMMIT"]]
    trips = wire.trips(APP)[before:]
    assert shortened(trips, looked + PLACING + SETTLING) == looked + PLACING + SETTLING
    assert len(trips) == len(looked) + len(PLACING) + len(SETTLING)
    assert [len(each) for each in asked_after] == [len(looked)]


def test_a_repeated_request_is_two_reads(house: House, wire: Proxy) -> None:
    first = house.place({"SKU-1": 1}, key="again")
    before = len(wire.trips(APP))
    assert house.place({"SKU-1": 1}, key="again") == first
    assert len(wire.trips(APP)) - before <= 3


KNOWN_WEBHOOK = [
    ["BEGIN; SELECT set_config("],
    ["SELECT * FROM payments.facts_at_rest("],
    ["SELECT payments.store_event(", "COMMIT"],
]
MAIL = [
    ["BEGIN; SELECT set_config("],
    ["INSERT INTO notifications.messages", "COMMIT"],
    ["BEGIN; SELECT set_config("],
    ["SELECT notifications.order_facts(", "COMMIT"],
    ["BEGIN; SELECT set_config("],
    ["SELECT notifications.record_attempt(", "COMMIT"],
]


def test_a_webhook_that_says_what_the_answer_said_is_three_round_trips_and_leaves_nothing_to_do(
    house: House, wire: Proxy
) -> None:
    house.clock.advance(minutes=1)  # the gateway's own clock dates the webhook, which must not be later than ours
    order_ids = [house.rows("SELECT id FROM orders.orders ORDER BY id DESC LIMIT 1")[0]["id"] for _ in placed(house)]
    first, second = (house.webhooks("payment_intent.succeeded", order_id=str(order_id))[0] for order_id in order_ids)
    house.deliver(first)  # from now on the owner of the endpoint is known
    before = len(wire.trips(APP))
    house.deliver(second)
    trips = wire.trips(APP)[before:]
    assert shortened(trips, KNOWN_WEBHOOK) == KNOWN_WEBHOOK
    assert len(trips) == len(KNOWN_WEBHOOK)
    assert house.work() == []


def placed(house: House) -> Iterator[None]:
    """Place two orders, and yield after each of them."""
    for _ in range(2):
        assert house.place({"SKU-1": 1}).status == 201
        yield


def test_a_mail_is_six_round_trips(house: House, wire: Proxy, post: Post) -> None:
    assert house.place({"SKU-1": 1}).status == 201
    (first, second) = events(house, "order.confirmed")
    notify(house, "order.confirmed", order_id=first[1]["order_id"])
    before = len(wire.trips(SYSTEM))
    notify(house, "order.confirmed", order_id=second[1]["order_id"])
    trips = wire.trips(SYSTEM)[before:]
    assert shortened(trips, MAIL) == MAIL
    assert len(trips) == len(MAIL)
    assert len(post.mails()) == 2
