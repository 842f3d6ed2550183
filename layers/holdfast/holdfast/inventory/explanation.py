"""The record of a decision in words, for people who were not there."""

from collections.abc import Mapping
from typing import Any

from holdfast.inventory.reasons import Verdict

Record = Mapping[str, Any]


def in_words(record: Record) -> list[str]:
    """Return a few sentences: what was wanted, by which rules, which warehouse won, and against what."""
    weights, scale = record["weights"], record["scale"]
    pieces, variants = sum(record["demand"].values()), len(record["demand"])
    wanted = (
        f"{_count(pieces, 'piece')} of {_count(variants, 'variant')} were wanted with {record['preference']} shipping,"
        f" which weighs cost {weights['cost']} and distance {weights['speed']}; a cost of {scale['cost_minor']} minor"
        f" units counts as much as {scale['distance_km']:g} km."
    )
    alternative = _alternative(record)
    return [wanted, _winner(record), *([alternative] if alternative else [])]


def why(candidate: Record, record: Record) -> str:
    """Return why this warehouse was chosen or lost."""
    has = f"it had {_served(candidate, record)} of {_count(sum(record['demand'].values()), 'piece')}"
    winner = " and ".join(_chosen(record))
    match Verdict(candidate["verdict"]):
        case Verdict.CHOSEN:
            because = f"chosen: {has}, and scores {candidate['score']}"
        case Verdict.NO_STOCK:
            because = "it had none of what was wanted"
        case Verdict.AT_CAPACITY:
            because = (
                f"{candidate['orders_today']} orders were booked for {candidate['load_date']}, and it takes"
                f" {candidate['effective_capacity']}: this order allowed no overflow"
            )
        case Verdict.CANNOT_SERVE_ALONE:
            because = f"{has}, while {winner} had everything"
        case Verdict.HIGHER_SCORE:
            because = f"it had everything, but scores {candidate['score']} against {record['score']} of {winner}"
        case Verdict.TIE_LOST:
            because = f"it had everything at the same score, but comes after {winner} by priority or code"
        case Verdict.SPLIT_SCORES_BETTER:
            because = (
                f"it had everything, but scores {candidate['score']}: more than {record['single_tolerance']} times"
                f" the {record['score']} of {winner} together"
            )
        case Verdict.NOT_IN_BEST_SPLIT:
            because = f"{has}; {winner} together score better than any choice with it"
    return because


def calculation(candidate: Record, record: Record) -> str:
    """Return how the score was calculated, as one line of arithmetic."""
    weights, scale = record["weights"], record["scale"]
    cost = f"{weights['cost']} x {candidate['penalty']} x {candidate['shipping_cost_minor']} / {scale['cost_minor']}"
    distance = f"{weights['speed']} x {candidate['distance_km']} km / {scale['distance_km']:g} km"
    return f"{cost} + {distance} = {candidate['score']}"


def _winner(record: Record) -> str:
    chosen = _chosen(record)
    if len(chosen) == 1:
        return f"{chosen[0]} ships everything, with a score of {record['score']} (lower is better)."
    return (
        f"{' and '.join(chosen)} share the order, with a score of {record['score']} (lower is better; the cost of a"
        f" split counts {record['split_overhead']} times)."
    )


def _alternative(record: Record) -> str | None:
    single, split = record["best_single"], record["best_split"]
    if single is None:
        return "No warehouse could ship everything alone."
    if split is None:
        return None
    relation = "at most" if len(_chosen(record)) == 1 else "more than"
    together = " and ".join(split["warehouses"])
    return (
        f"Alone, {single['warehouses'][0]} scores {single['score']}; the best split, {together}, scores"
        f" {split['score']}. One warehouse is kept while it scores at most {record['single_tolerance']} times the best"
        f" split: it scores {relation} that."
    )


def _chosen(record: Record) -> list[str]:
    return [each["code"] for each in record["candidates"] if each["verdict"] == Verdict.CHOSEN]


def _served(candidate: Record, record: Record) -> int:
    wanted = [record["demand"][variant_id] for variant_id in sorted(record["demand"])]
    return sum(max(0, min(there, want)) for there, want in zip(candidate["stock"], wanted, strict=True))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
