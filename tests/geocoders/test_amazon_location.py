"""The adapter for Amazon Location against botocore's own model, and against a real server that can misbehave."""

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
import urllib3
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.model import GeocodeQuality
from holdfast.geocoders import amazon_location
from holdfast.geocoders.amazon_location import AmazonLocation, place_in, request_for
from holdfast.geocoders.bounded import CALLS_AT_ONCE_MAX, BoundedGeocoder
from holdfast.geocoders.circuit_breaker import BreakerState, CircuitBreaker
from holdfast.geocoders.port import (
    GeocodedPlace,
    GeocoderAnswerInvalid,
    GeocoderFailed,
    GeocoderSuspended,
    GeocoderTimedOut,
    GeocoderUnavailable,
)
from holdfast.values.address import Address
from local.geocoder_server import places
from tests.geocoders.stage import Stage, ready, running_geocoder

TORONTO = Address("Ada Lovelace", "12 Analytical Way", "Toronto", "M5V 2T6", "CA", line2="Suite 3", region="ON")
MODEL = botocore.session.get_session().get_service_model("geo-places").operation_model("Geocode")


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with running_geocoder() as stage:
        yield stage


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.geocoder.behave("well")
    return running


@pytest.fixture(scope="module")
def patient(running: Stage) -> AmazonLocation:
    return ready(20.0)


def problems(document: Any, shape: Any) -> str:
    report = ParamValidator().validate(document, shape)
    return str(report.generate_report()) if report.has_errors() else ""


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@given(WORDS, WORDS, st.one_of(st.none(), WORDS))
def test_every_request_is_one_that_the_service_takes(line1: str, city: str, region: str | None) -> None:
    request = request_for(Address("Ada", line1, city, "M5V 2T6", "CA", region=region))
    assert problems(request, MODEL.input_shape) == ""
    assert 1 <= len(request["QueryText"]) <= MODEL.input_shape.members["QueryText"].metadata["max"]


def test_a_request_asks_for_one_place_of_the_country_that_may_be_kept_and_names_nobody() -> None:
    assert request_for(TORONTO) == {
        "QueryText": "12 Analytical Way Suite 3, Toronto, ON M5V 2T6",
        "Filter": {"IncludeCountries": ["CA"]},
        "MaxResults": 1,
        "IntendedUse": "Storage",
    }


def test_the_kinds_of_place_are_those_of_the_service() -> None:
    kinds = MODEL.output_shape.members["ResultItems"].member.members["PlaceType"].enum
    assert set(amazon_location._QUALITY_OF_PLACE) == set(kinds)


@pytest.mark.parametrize("text", ["12 Analytical Way, Toronto", "Queen Street, Toronto", "Toronto, Toronto", "Nowhere"])
def test_the_local_server_answers_as_the_service_does(stage: Stage, text: str) -> None:
    answer = urllib3.request(
        "POST",
        f"{stage.url}/v2/geocode",
        json={"QueryText": text},
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/20310101/us-east-1/geo-places/aws4_request"},
    )
    document = json.loads(answer.data) | {"PricingBucket": answer.headers["x-amz-geo-pricing-bucket"]}
    assert MODEL.output_shape.members["PricingBucket"].serialization["name"] == "x-amz-geo-pricing-bucket"
    assert problems(document, MODEL.output_shape) == ""
    assert len(document["ResultItems"]) == (text != "Nowhere")


def test_an_address_is_found_to_its_house(stage: Stage, patient: AmazonLocation) -> None:
    before = len(stage.geocoder.calls)
    found = patient.find(TORONTO, timeout_seconds=20)
    assert found is not None
    assert (found.quality, found.region) == (GeocodeQuality.ROOFTOP, "ON")
    assert abs(found.coordinates.latitude - 43.65) < 0.05
    assert abs(found.coordinates.longitude + 79.38) < 0.05
    assert stage.geocoder.calls[before:] == [request_for(TORONTO)]
    assert patient.find(replace(TORONTO, city="Atlantis"), timeout_seconds=20) is None


@pytest.mark.parametrize(
    ("manner", "error"),
    [
        ("down", GeocoderUnavailable),
        ("dropping", GeocoderUnavailable),
        ("throttling", GeocoderUnavailable),
        ("garbled", GeocoderAnswerInvalid),
        ("elsewhere", GeocoderAnswerInvalid),
        ("off_the_globe", GeocoderAnswerInvalid),
    ],
)
def test_what_goes_wrong_is_told_apart_and_asked_once(
    stage: Stage, patient: AmazonLocation, manner: str, error: type[GeocoderFailed]
) -> None:
    stage.geocoder.behave(manner)
    before = len(stage.geocoder.calls)
    with pytest.raises(error):
        patient.find(TORONTO, timeout_seconds=20)
    assert len(stage.geocoder.calls) == before + 1


def test_an_address_that_the_service_refuses_is_one_it_does_not_know(stage: Stage, patient: AmazonLocation) -> None:
    stage.geocoder.behave("refusing")
    assert patient.find(TORONTO, timeout_seconds=20) is None


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch, running: Stage) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GEO_PLACES", "http://127.0.0.1:9")
    with pytest.raises(GeocoderUnavailable):
        ready(20.0).find(TORONTO, timeout_seconds=20)


ITEM = places.find("12 Analytical Way, Toronto", ["CA"])[0]


@pytest.mark.parametrize(
    ("changes", "quality"),
    [
        ({}, GeocodeQuality.ROOFTOP),
        ({"EstimatedPointAddress": True}, GeocodeQuality.RANGE_INTERPOLATED),
        ({"PlaceType": "InterpolatedAddress"}, GeocodeQuality.RANGE_INTERPOLATED),
        ({"PlaceType": "Street"}, GeocodeQuality.CENTROID),
        ({"PlaceType": "PostalCode"}, GeocodeQuality.CENTROID),
        ({"PlaceType": "Locality"}, GeocodeQuality.CENTROID),
        ({"PlaceType": "Region"}, GeocodeQuality.APPROXIMATE),
        ({"PlaceType": "Country"}, GeocodeQuality.APPROXIMATE),
        ({"MatchScores": {"Overall": 0.74}}, GeocodeQuality.APPROXIMATE),
        ({"MatchScores": {"Overall": 0.75}}, GeocodeQuality.ROOFTOP),
        ({"MatchScores": {}}, GeocodeQuality.ROOFTOP),
    ],
)
def test_the_quality_is_that_of_the_place_and_none_where_the_service_doubts_itself(
    changes: dict[str, Any], quality: GeocodeQuality
) -> None:
    found = place_in({"ResultItems": [ITEM | changes]}, TORONTO)
    assert found is not None
    assert found.quality is quality


NONSENSE = [
    None,
    [],
    "busy",
    {},
    {"ResultItems": None},
    {"ResultItems": "x"},
    {"ResultItems": [None]},
    {"ResultItems": [ITEM | {"Position": None}]},
    {"ResultItems": [ITEM | {"Position": [1.0]}]},
    {"ResultItems": [ITEM | {"Position": [1.0, 2.0, 3.0]}]},
    {"ResultItems": [ITEM | {"Position": ["x", "y"]}]},
    {"ResultItems": [ITEM | {"Position": [float("nan"), float("nan")]}]},
    {"ResultItems": [ITEM | {"Position": [0.0, 0.0]}]},
    {"ResultItems": [ITEM | {"Position": [43.6, -179.3, 1]}]},
    {"ResultItems": [ITEM | {"PlaceType": "Planet"}]},
    {"ResultItems": [ITEM | {"Address": None}]},
    {"ResultItems": [ITEM | {"MatchScores": {"Overall": "high"}}]},
    {"ResultItems": [ITEM | {"MatchScores": {"Overall": float("nan")}}]},
    {"ResultItems": [ITEM | {"MatchScores": {"Overall": 7}}]},
]


@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_never_taken_for_a_place(answer: Any) -> None:
    if isinstance(answer, dict) and answer.get("ResultItems") is None and "ResultItems" in answer:
        assert place_in(answer, TORONTO) is None
        return
    with pytest.raises(GeocoderAnswerInvalid):
        place_in(answer, TORONTO)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["Position", "PlaceType", "Address", "MatchScores", "EstimatedPointAddress"]), JSON)
def test_whatever_a_field_holds_the_answer_is_a_place_none_or_invalid(field: str, value: Any) -> None:
    answer = {"ResultItems": [copy.deepcopy(ITEM) | {field: value}]}
    try:
        found = place_in(answer, TORONTO)
    except GeocoderAnswerInvalid:
        return
    assert found is None or isinstance(found, GeocodedPlace)


# --- the time budget and the breaker ---------------------------------------------------------------------------------

BUDGET_SECONDS = 0.4


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def bounded(clock: Seconds) -> tuple[BoundedGeocoder, CircuitBreaker]:
    breaker = CircuitBreaker(clock)
    return BoundedGeocoder(ready(BUDGET_SECONDS), breaker, budget_seconds=BUDGET_SECONDS), breaker


@pytest.mark.parametrize("manner", ["slow", "dripping"])
def test_a_slow_geocoder_costs_its_budget_whether_it_is_silent_or_drips(stage: Stage, manner: str) -> None:
    stage.geocoder.behave(manner, delay_seconds=10)
    geocoder, _ = bounded(Seconds())
    begin = time.monotonic()
    with pytest.raises(GeocoderTimedOut):
        geocoder.find(TORONTO)
    took = time.monotonic() - begin
    assert BUDGET_SECONDS * 0.9 < took < BUDGET_SECONDS + 1.5, "it ends with the budget, not with the server"


def test_the_breaker_opens_after_three_failures_and_closes_when_the_geocoder_is_well_again(stage: Stage) -> None:
    stage.geocoder.behave("down")
    clock = Seconds()
    geocoder, breaker = bounded(clock)
    for _ in range(3):
        with pytest.raises(GeocoderUnavailable):
            geocoder.find(TORONTO)
    before = len(stage.geocoder.calls)
    for _ in range(5):
        with pytest.raises(GeocoderSuspended):
            geocoder.find(TORONTO)
    assert len(stage.geocoder.calls) == before, "nobody was asked"
    stage.geocoder.behave("well")
    clock.now += 30
    assert geocoder.find(TORONTO) is not None
    assert breaker.state is BreakerState.CLOSED


def test_not_knowing_an_address_is_no_failure(stage: Stage) -> None:
    geocoder, breaker = bounded(Seconds())
    for _ in range(5):
        assert geocoder.find(replace(TORONTO, city="Atlantis")) is None
    assert breaker.state is BreakerState.CLOSED


def test_calls_that_hang_are_bounded_in_number(stage: Stage) -> None:
    stage.geocoder.behave("dripping")
    breaker = CircuitBreaker(Seconds())
    geocoder = BoundedGeocoder(ready(20.0), breaker, budget_seconds=0.05)
    for _ in range(CALLS_AT_ONCE_MAX):
        with pytest.raises(GeocoderTimedOut):
            geocoder.find(TORONTO)
        breaker.succeeded()
    with pytest.raises(GeocoderUnavailable, match="under way"):
        geocoder.find(TORONTO)


def test_a_bug_of_an_adapter_costs_no_order(running: Stage) -> None:
    class Broken:
        def find(self, address: Address, *, timeout_seconds: float) -> GeocodedPlace | None:
            raise ZeroDivisionError

    with pytest.raises(GeocoderUnavailable, match="ZeroDivisionError"):
        BoundedGeocoder(Broken(), CircuitBreaker(Seconds()), budget_seconds=1).find(TORONTO)
