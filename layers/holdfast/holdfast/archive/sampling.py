"""How many orders to sample, how to spread them over strata, and what the sample can promise."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

Z_OF_95_PERCENT: Final = 1.96
MARGIN_OF_ERROR: Final = 0.05
CONFIDENCE_LEVEL: Final = 0.95
SAMPLE_MIN: Final = 30

Key = TypeVar("Key")
Item = TypeVar("Item")


def sample_size(population: int, *, z: float = Z_OF_95_PERCENT, margin: float = MARGIN_OF_ERROR) -> int:
    """Return Cochran's sample size for an unknown share (p = 0.5), corrected for a finite population.

    It is at least 30, or the whole population if that is smaller: 385 of very many, 278 of 1,000.
    """
    if population <= 0:
        return 0
    unbounded = z**2 * 0.25 / margin**2
    corrected = unbounded / (1 + (unbounded - 1) / population)
    return min(population, max(SAMPLE_MIN, math.ceil(corrected)))


def detection_probability(population: int, corrupt: int, sample: int) -> float:
    """Return the probability that a sample without replacement contains at least one of ``corrupt`` orders."""
    sound = population - corrupt
    if corrupt <= 0 or sample <= 0:
        return 0.0
    if sample > sound:
        return 1.0
    # The hypergeometric probability of none: C(sound, sample) / C(population, sample).
    log_none = math.lgamma(sound + 1) - math.lgamma(sound - sample + 1)
    log_none -= math.lgamma(population + 1) - math.lgamma(population - sample + 1)
    return -math.expm1(log_none)


def detectable_orders(population: int, sample: int, *, confidence: float = CONFIDENCE_LEVEL) -> int:
    """Return the smallest number of corrupt orders of which a sample finds at least one with this confidence."""
    if sample <= 0:
        return population
    low, high = 1, population
    while low < high:
        middle = (low + high) // 2
        if detection_probability(population, middle, sample) >= confidence:
            high = middle
        else:
            low = middle + 1
    return low


def detectable_fraction(population: int, sample: int, *, confidence: float = CONFIDENCE_LEVEL) -> float:
    """Return ``detectable_orders`` as a fraction of the population; 0 for an empty population."""
    return detectable_orders(population, sample, confidence=confidence) / population if population else 0.0


def statement(population: int, sample: int) -> str:
    """Say in words what checking ``sample`` of ``population`` orders can promise."""
    if population == 0:
        return "there was nothing to look at"
    if sample >= population:
        return f"all {population} orders were looked at: one that is corrupt is found"
    orders = detectable_orders(population, sample)
    share = 100 * orders / population
    return (
        f"{sample} of {population} orders were looked at: if {orders} or more ({share:.2f} %) were corrupt, at least"
        f" one of them is found with {CONFIDENCE_LEVEL:.0%} probability; fewer may stay unseen"
    )


def stratified(
    strata: Mapping[Key, Sequence[Item]], size: int, chance: random.Random
) -> tuple[list[Item], dict[Key, int]]:
    """Sample ``size`` items, from each stratum in proportion to its size, and return them with the number from each.

    Rounding is by largest remainder.
    """
    population = sum(len(items) for items in strata.values())
    size = min(size, population)
    if size == 0:
        return [], dict.fromkeys(strata, 0)
    exact = {key: size * len(items) / population for key, items in strata.items()}
    shares = {key: int(share) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: exact[key] - shares[key], reverse=True)
    for key in by_remainder[: size - sum(shares.values())]:
        shares[key] += 1
    chosen = [item for key, items in strata.items() for item in chance.sample(list(items), shares[key])]
    return chosen, shares
