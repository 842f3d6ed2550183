"""A checkout whose address only the geocoder knows.

The geocoder is asked once, within its time budget and outside the transaction. No checkout is lost or late when the
geocoder is down, slow or answers nonsense.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from holdfast.addresses.model import LookupTier
from holdfast.addresses.warm_places import WarmPlaces
from holdfast.flows.addresses.answer_review import CorrectedAddress
from holdfast.flows.addresses.settle_address import AddressNotFound
from holdfast.flows.checkout.planning import CheckoutRequest, RequestedItem
from holdfast.flows.checkout.quote_order import quote_order
from holdfast.geocoders.bounded import BoundedGeocoder
from holdfast.geocoders.circuit_breaker import CircuitBreaker
from holdfast.values.address import Address
from holdfast.values.errors import OutOfStock
from holdfast.values.shipping import ShippingPreference
from tests.flows.reviewing import answer, in_review, token
from tests.geocoders.stage import Stage, ready, running_geocoder
from tests.house import House, document
from tests.premises import DENVER

BUDGET_SECONDS = 0.3
TORONTO = Address("Ada Lovelace", "12 Analytical Way", "Toronto", "M5V 2T6", "CA", region="ON")
ATLANTIS = replace(TORONTO, city="Atlantis")


class Seconds:
    """The clock of the circuit breaker."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with running_geocoder() as stage:
        yield stage


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def stage(running: Stage, house: House, seconds: Seconds) -> Stage:
    """A house with a geocoder."""
    running.geocoder.behave("well")
    asks(house, seconds, budget_seconds=5)
    house.add_variant(stock=50)
    return running


def asks(house: House, seconds: Seconds, *, budget_seconds: float) -> None:
    breaker = CircuitBreaker(seconds)
    house.runtime.__dict__["geocoder"] = BoundedGeocoder(ready(5.0), breaker, budget_seconds=budget_seconds)


def place(house: House, address: Address) -> dict[str, Any]:
    answer = house.place({"TEE": 1}, address=address)
    assert answer.status == 201
    order: dict[str, Any] = document(answer)["order"]
    known = quality(house, order) != "approximate"
    assert order["status"] == ("confirmed" if known else "address_review"), "paid, and not lost"
    return order


def quality(house: House, order: dict[str, Any]) -> str:
    return str(house.value("SELECT geocode_quality FROM orders.orders WHERE id = :id", id=order["id"]))


def reasons(house: House) -> dict[str, int]:
    rows = house.rows("SELECT reason, count(*) AS orders FROM addresses.geocode_failures GROUP BY reason")
    return {row["reason"]: row["orders"] for row in rows}


def calls(stage: Stage, address: Address) -> int:
    return sum(address.city in call["QueryText"] for call in stage.geocoder.calls)


def test_the_answer_is_written_with_the_order_and_nobody_is_asked_again(house: House, stage: Stage) -> None:
    before = calls(stage, TORONTO)
    assert quality(house, place(house, TORONTO)) == "rooftop"
    [cached] = house.rows("SELECT * FROM addresses.geocode_cache")
    assert (cached["country"], cached["postal_code"], cached["quality"]) == ("CA", "M5V2T6", "rooftop")
    assert cached["expires_at"] - cached["created_at"] == timedelta(days=7)
    assert "Analytical" not in str(cached)
    place(house, TORONTO)
    house.runtime.__dict__["warm_places"] = WarmPlaces()  # as in another process
    place(house, TORONTO)
    assert calls(stage, TORONTO) == before + 1
    tiers, _ = house.runtime.lookup_tally.drain()
    assert tiers == {LookupTier.GEOCODER: 1, LookupTier.WARM: 1, LookupTier.CACHE: 1}
    assert reasons(house) == {}


def test_past_its_time_to_live_it_is_asked_for_again_and_renewed(house: House, stage: Stage) -> None:
    before = calls(stage, TORONTO)
    place(house, TORONTO)
    house.clock.advance(days=7, seconds=1)
    place(house, TORONTO)
    assert calls(stage, TORONTO) == before + 2
    [cached] = house.rows("SELECT created_at, expires_at FROM addresses.geocode_cache")
    assert cached["created_at"] == house.clock()
    assert cached["expires_at"] == house.clock() + timedelta(days=7)


def test_a_postal_code_of_the_reference_data_asks_nobody(house: House, stage: Stage) -> None:
    before = len(stage.geocoder.calls)
    assert quality(house, place(house, DENVER)) == "centroid"
    assert len(stage.geocoder.calls) == before


def test_what_a_quote_found_out_the_checkout_knows_and_keeps(house: House, stage: Stage) -> None:
    before = calls(stage, TORONTO)
    request = CheckoutRequest((RequestedItem(1, sku="TEE"),), TORONTO, ShippingPreference.STANDARD)
    assert quote_order(house.runtime, house.customer, request, house.clock())["geocode_quality"] == "rooftop"
    assert house.value("SELECT count(*) FROM addresses.geocode_cache") == 0, "a quote writes nothing"
    place(house, TORONTO)
    assert calls(stage, TORONTO) == before + 1
    assert house.value("SELECT count(*) FROM addresses.geocode_cache") == 1


def test_an_address_that_the_geocoder_does_not_know_is_written_down_and_asked_for_once_in_five_minutes(
    house: House, stage: Stage
) -> None:
    before = calls(stage, ATLANTIS)
    for _ in range(3):
        assert quality(house, place(house, ATLANTIS)) == "approximate"
    assert reasons(house) == {"not_found": 3}
    assert calls(stage, ATLANTIS) == before + 1
    assert house.value("SELECT count(*) FROM addresses.geocode_cache") == 0
    house.clock.advance(minutes=6)
    place(house, ATLANTIS)
    assert calls(stage, ATLANTIS) == before + 2


def test_an_order_that_is_refused_anyway_asks_nobody(house: House, stage: Stage) -> None:
    before = len(stage.geocoder.calls)
    with pytest.raises(OutOfStock):
        house.place({"TEE": 5_000}, address=TORONTO)
    assert len(stage.geocoder.calls) == before


def test_the_same_key_again_asks_nobody(house: House, stage: Stage) -> None:
    first = house.place({"TEE": 1}, address=ATLANTIS, key="again")
    house.runtime.__dict__["warm_places"] = WarmPlaces()
    before = len(stage.geocoder.calls)
    assert house.place({"TEE": 1}, address=ATLANTIS, key="again") == first
    assert len(stage.geocoder.calls) == before


def test_no_transaction_is_open_while_the_geocoder_is_asked(
    house: House, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    geocoder = house.runtime.geocoder
    assert geocoder is not None

    def look_and_ask(address: Address) -> Any:
        seen.append(house.runtime.database.engine.pool.checkedout())  # type: ignore[attr-defined]
        return BoundedGeocoder.find(geocoder, address)

    monkeypatch.setattr(geocoder, "find", look_and_ask)
    place(house, TORONTO)
    assert seen == [0]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("down", "geocoder_unavailable"),
        ("dropping", "geocoder_unavailable"),
        ("throttling", "geocoder_unavailable"),
        ("garbled", "geocoder_answer_invalid"),
        ("elsewhere", "geocoder_answer_invalid"),
        ("off_the_globe", "geocoder_answer_invalid"),
    ],
)
def test_no_order_is_lost_to_a_broken_geocoder_which_is_left_alone_and_tried_again(
    house: House, stage: Stage, seconds: Seconds, manner: str, reason: str
) -> None:
    stage.geocoder.behave(manner)
    before = calls(stage, TORONTO)
    for _ in range(5):
        assert quality(house, place(house, TORONTO)) == "approximate"
    assert reasons(house) == {reason: 3, "geocoder_suspended": 2}
    assert calls(stage, TORONTO) == before + 3
    stage.geocoder.behave("well")
    assert quality(house, place(house, TORONTO)) == "approximate", "it is still left alone"
    seconds.now += 30
    assert quality(house, place(house, TORONTO)) == "rooftop"
    assert house.violations() == []


@pytest.mark.parametrize("manner", ["slow", "dripping"])
def test_a_slow_geocoder_adds_its_budget_to_three_checkouts_and_nothing_to_those_after_them(
    house: House, stage: Stage, seconds: Seconds, manner: str
) -> None:
    """The geocoder is ten seconds slow. Checkouts with a known address are measured in the same run for comparison."""
    place(house, ATLANTIS)  # a process loads the holiday calendars once, for its first review
    asks(house, seconds, budget_seconds=BUDGET_SECONDS)

    def seconds_of(address: Address) -> float:
        begin = time.perf_counter()
        place(house, address)
        return time.perf_counter() - begin

    known = [seconds_of(DENVER) for _ in range(6)]
    stage.geocoder.behave(manner, delay_seconds=10)
    waiting = [seconds_of(TORONTO) for _ in range(3)]
    suspended = [seconds_of(TORONTO) for _ in range(6)]
    room = 4 * max(known)
    assert all(BUDGET_SECONDS <= took <= BUDGET_SECONDS + room for took in waiting), (known, waiting)
    assert statistics.median(suspended) <= statistics.median(known) + BUDGET_SECONDS / 2, (known, suspended)
    assert reasons(house) == {"not_found": 1, "geocoder_timed_out": 3, "geocoder_suspended": 6}


def test_a_corrected_address_is_looked_for_too_and_the_shopper_is_believed_while_nobody_can_be_asked(
    house: House, stage: Stage
) -> None:
    first, second = in_review(house, address=ATLANTIS), in_review(house, address=ATLANTIS)
    toronto = CorrectedAddress(TORONTO.line1, TORONTO.city, TORONTO.postal_code, TORONTO.country, region="ON")
    answer(house, token(house, first), toronto)
    assert quality(house, house.order(first)) == "rooftop"
    stage.geocoder.behave("down")
    link = token(house, second)
    elsewhere = replace(toronto, line1="14 Analytical Way")
    with pytest.raises(AddressNotFound) as refused:
        answer(house, link, elsewhere)
    assert refused.value.facts["reason"] == "geocoder_unavailable"
    assert house.order(second)["status"] == "address_review"
    answer(house, link, elsewhere, confirm=True)
    assert (house.order(second)["status"], quality(house, house.order(second))) == ("confirmed", "approximate")
    assert house.violations() == []
