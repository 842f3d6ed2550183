from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.orders.lifecycle import (
    INITIAL,
    TERMINAL,
    TRANSITIONS,
    OrderStatus,
    allowed_from,
    check_transition,
    path_to_confirmed,
)
from holdfast.values.errors import TransitionRefused

# The table of the specification, verbatim.
TABLE = """
| pending_payment | payment_processing, payment_failed, cancelled |
| payment_processing | payment_confirmed, payment_failed, cancelled |
| payment_failed | pending_payment, cancelled |
| payment_confirmed | confirmed, address_review, cancelled |
| address_review | confirmed, cancelled |
| confirmed | processing, address_review, cancelled, refunded |
| processing | partially_shipped, shipped, cancelled, refunded |
| partially_shipped | shipped, refunded |
| shipped | delivered, refunded |
| delivered | partially_refunded, refunded |
| partially_refunded | refunded |
| pending_acceptance | accepted, acceptance_failed, cancelled |
| acceptance_failed | pending_acceptance, cancelled |
| accepted | confirmed, cancelled |
"""


def specified_transitions() -> dict[str, set[str]]:
    rows = [row.strip("|").split("|") for row in TABLE.split("\n") if row]
    return {source.strip(): {target.strip() for target in targets.split(",")} for source, targets in rows}


statuses = st.sampled_from(OrderStatus)


def test_the_transitions_are_those_of_the_specification_and_no_others():
    written = {source.value: {target.value for target in targets} for source, targets in TRANSITIONS.items() if targets}
    assert written == specified_transitions()


def test_every_status_has_its_row():
    assert set(TRANSITIONS) == set(OrderStatus)


def test_nothing_follows_cancelled_or_refunded():
    assert {OrderStatus.CANCELLED, OrderStatus.REFUNDED} == TERMINAL
    assert {status for status, following in TRANSITIONS.items() if not following} == TERMINAL


def test_every_status_can_be_reached_from_an_initial_one_and_can_end():
    def reachable(start: OrderStatus) -> set[OrderStatus]:
        found, open_ends = {start}, [start]
        while open_ends:
            new = TRANSITIONS[open_ends.pop()] - found
            found |= new
            open_ends += new
        return found

    assert set().union(*map(reachable, INITIAL)) == set(OrderStatus)
    assert all(reachable(status) & TERMINAL for status in OrderStatus)


@given(statuses, statuses)
def test_a_transition_is_refused_exactly_when_the_table_does_not_list_it(current, to):
    if to in specified_transitions().get(current, set()):
        check_transition(current, to)
        return
    with pytest.raises(TransitionRefused) as refused:
        check_transition(current, to)
    assert refused.value.facts == {"current": current.value, "allowed": allowed_from(current)}


def test_a_refusal_names_the_current_status_and_the_allowed_ones_in_order():
    with pytest.raises(TransitionRefused) as refused:
        check_transition(OrderStatus.CONFIRMED, OrderStatus.DELIVERED)
    assert refused.value.facts == {
        "current": "confirmed",
        "allowed": ["address_review", "cancelled", "processing", "refunded"],
    }


@pytest.mark.parametrize(
    ("current", "walk"),
    [
        ("payment_failed", "pending_payment payment_processing payment_confirmed confirmed"),
        ("pending_payment", "payment_processing payment_confirmed confirmed"),
        ("payment_processing", "payment_confirmed confirmed"),
        ("payment_confirmed", "confirmed"),
        ("address_review", ""),
        ("confirmed", ""),
        ("processing", ""),
        ("shipped", ""),
        ("partially_refunded", ""),
    ],
)
def test_money_walks_an_order_to_confirmed_step_by_step(current, walk):
    assert [status.value for status in path_to_confirmed(OrderStatus(current))] == walk.split()


@pytest.mark.parametrize("current", ["cancelled", "refunded", "pending_acceptance", "acceptance_failed", "accepted"])
def test_money_confirms_no_closed_order_and_no_marketplace_order(current):
    with pytest.raises(TransitionRefused):
        path_to_confirmed(OrderStatus(current))


@given(statuses.filter(lambda status: status not in TERMINAL))
def test_every_step_of_the_walk_is_a_listed_transition(current):
    try:
        walk = path_to_confirmed(current)
    except TransitionRefused:
        return
    for source, target in pairwise((current, *walk)):
        check_transition(source, target)
