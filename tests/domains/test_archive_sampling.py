"""How large a sample is, how it is spread over the strata, and what it can promise."""

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.archive.sampling import (
    detectable_fraction,
    detectable_orders,
    detection_probability,
    sample_size,
    statement,
    stratified,
)


def test_the_sample_is_cochrans_with_finite_population_correction() -> None:
    assert sample_size(10**9) == 385
    assert sample_size(1_000) == 278


@pytest.mark.parametrize(("population", "size"), [(0, 0), (1, 1), (29, 29), (30, 30), (31, 30), (100, 80)])
def test_a_small_population_is_sampled_by_thirty_or_whole(population: int, size: int) -> None:
    assert sample_size(population) == size


@given(st.integers(0, 10**7))
def test_a_sample_is_never_larger_than_its_population_and_grows_with_it(population: int) -> None:
    assert sample_size(population) <= population
    assert sample_size(population) <= sample_size(population + 1)


@given(st.integers(1, 9), st.data())
def test_the_probability_of_detection_is_hypergeometric(population: int, data: st.DataObject) -> None:
    corrupt = data.draw(st.integers(0, population))
    sample = data.draw(st.integers(0, population))
    samples = list(combinations(range(population), sample))
    hits = sum(any(order < corrupt for order in chosen) for chosen in samples)
    assert detection_probability(population, corrupt, sample) == pytest.approx(hits / len(samples))


def test_the_statement_names_the_fewest_that_are_found() -> None:
    orders = detectable_orders(1_000, 278)
    assert detection_probability(1_000, orders, 278) >= 0.95 > detection_probability(1_000, orders - 1, 278)
    assert orders == 10
    assert detectable_fraction(1_000, 278) == 0.01
    assert statement(1_000, 278) == (
        "278 of 1000 orders were looked at: if 10 or more (1.00 %) were corrupt, at least one of them is found with"
        " 95% probability; fewer may stay unseen"
    )
    assert statement(5, 5) == "all 5 orders were looked at: one that is corrupt is found"


@given(st.dictionaries(st.integers(0, 20), st.integers(0, 200), max_size=12), st.integers(0, 500), st.integers())
def test_strata_are_sampled_by_their_share(sizes: dict[int, int], size: int, seed: int) -> None:
    strata = {key: list(range(count)) for key, count in sizes.items()}
    chosen, shares = stratified(strata, size, random.Random(seed))
    population = sum(sizes.values())
    assert len(chosen) == sum(shares.values()) == min(size, population)
    for key, count in sizes.items():
        assert abs(shares[key] - min(size, population) * count / max(1, population)) < 1
