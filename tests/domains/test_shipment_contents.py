"""What a shipment contains, what it is worth, and where it can be tracked."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.fulfillment.contents import (
    Line,
    Piece,
    check_may_leave,
    split,
    to_send_again,
    total,
    unshipped_part,
    worth_of,
)
from holdfast.fulfillment.tracking import LINKS, carrier_key, tracking_url
from holdfast.payments.capture_policy import CapturePolicy, Leaving, share_of_shipment
from holdfast.values.errors import Conflict, InvalidInput

A, B = UUID(int=1), UUID(int=2)


def line(item: UUID = A, quantity: int = 12, worth: int = 1_000, left: int = 0, withheld: int = 0) -> Line:
    return Line(order_item_id=item, quantity=quantity, worth_minor=worth, left=left, withheld=withheld)


def pieces(**quantities: int) -> tuple[Piece, ...]:
    """Return pieces of line A, each from an allocation of its own."""
    return tuple(Piece(UUID(int=10 + number), A, quantity) for number, quantity in enumerate(quantities.values()))


@given(st.data())
def test_whatever_leaves_when_the_shares_add_up_to_the_order_to_the_last_unit(data: st.DataObject) -> None:
    lines = data.draw(
        st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10**7)), min_size=1, max_size=5), label="lines"
    )
    shipping = data.draw(st.integers(0, 10**5), label="shipping")
    left = [0] * len(lines)
    captured, number = 0, 0
    order_total = shipping + sum(worth for _, worth in lines)
    while any(left[at] < quantity for at, (quantity, _) in enumerate(lines)):
        going = [data.draw(st.integers(0, quantity - left[at])) for at, (quantity, _) in enumerate(lines)]
        if not any(going):
            going = [quantity - left[at] for at, (quantity, _) in enumerate(lines)]
        known = [line(UUID(int=at), quantity, worth, left[at]) for at, (quantity, worth) in enumerate(lines)]
        leaving = [Piece(UUID(int=100 + at), UUID(int=at), count) for at, count in enumerate(going) if count]
        worth = worth_of(known, leaving, shipping_minor=0 if number else shipping)
        left = [before + count for before, count in zip(left, going, strict=True)]
        is_last = all(left[at] == quantity for at, (quantity, _) in enumerate(lines))
        share = share_of_shipment(
            CapturePolicy.PER_SHIPMENT,
            Leaving(worth, is_last),
            owed_minor=order_total,
            captured_minor=captured,
            multiple_captures=True,
        )
        assert share.amount_minor == worth, "nothing is left over for the last, and nothing is missing"
        captured += share.amount_minor
        number += 1
    assert captured == order_total


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.data(),
)
def test_a_split_takes_what_is_named_and_leaves_the_rest(quantities: list[int], data: st.DataObject) -> None:
    there = pieces(**{str(number): quantity for number, quantity in enumerate(quantities)})
    wanted = data.draw(st.integers(1, sum(quantities)))
    leaving = split(there, {A: wanted})
    assert total(leaving) == {A: wanted}
    by_allocation = {piece.allocation_id: piece.quantity for piece in there}
    assert all(0 < piece.quantity <= by_allocation[piece.allocation_id] for piece in leaving)


def test_more_than_is_there_is_named_with_its_field() -> None:
    for named in ({A: 4}, {B: 1}):
        with pytest.raises(InvalidInput) as refused:
            split(pieces(a=1, b=2), named)
        assert refused.value.facts["errors"][0]["field"] == "items[0].quantity"


def test_what_was_refunded_before_it_left_does_not_leave() -> None:
    check_may_leave([line(quantity=5, left=2, withheld=1)], pieces(a=2))
    with pytest.raises(Conflict) as refused:
        check_may_leave([line(quantity=5, left=2, withheld=1)], pieces(a=3))
    assert refused.value.facts["refunded_quantity"] == 1


@pytest.mark.parametrize(
    ("left", "withheld", "refunded_before", "quantity", "has_left", "unshipped"),
    [
        (0, 0, 0, 3, False, 3),
        (0, 0, 0, 3, True, 3),
        (5, 0, 0, 3, True, 0),
        (5, 0, 4, 3, True, 2),
        (5, 0, 0, 9, False, 7),
        (5, 6, 0, 3, False, 1),
        (12, 0, 0, 12, False, 0),
    ],
)
def test_units_that_had_not_left_are_refunded_first_unless_the_others_are_meant(
    left: int, withheld: int, refunded_before: int, quantity: int, has_left: bool, unshipped: int
) -> None:
    told = line(left=left, withheld=withheld)
    assert unshipped_part(told, quantity, refunded_before, has_left=has_left) == unshipped


def test_what_was_refunded_of_a_failed_parcel_is_not_sent_again() -> None:
    assert total(to_send_again(pieces(a=2, b=3), {})) == {A: 5}
    assert total(to_send_again(pieces(a=2, b=3), {A: 3})) == {A: 2}
    assert to_send_again(pieces(a=2, b=3), {A: 6}) == ()


@pytest.mark.parametrize("carrier", sorted(LINKS))
def test_every_link_takes_the_number_whatever_is_in_it(carrier: str) -> None:
    url = tracking_url(carrier.upper(), "1Z 99/&x")
    assert url is not None
    assert url.startswith("https://")
    assert "1Z%2099%2F%26x" in url


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"UPS": "https://shop.example/t/{tracking_number}"}, "https://shop.example/t/1Z"),
        ({"ups": "http://shop.example/{tracking_number}"}, LINKS["ups"].replace("{tracking_number}", "1Z")),
        ({"ups": "https://shop.example/"}, LINKS["ups"].replace("{tracking_number}", "1Z")),
        ({"ups": 7}, LINKS["ups"].replace("{tracking_number}", "1Z")),
        ({"dhl": "https://shop.example/{tracking_number}"}, LINKS["ups"].replace("{tracking_number}", "1Z")),
    ],
)
def test_the_shops_own_link_comes_first_if_it_is_one(own: dict[str, object], expected: str) -> None:
    assert tracking_url("U.P.S.", "1Z", own) == expected


def test_without_a_number_or_a_known_carrier_there_is_no_link() -> None:
    assert tracking_url("UPS", None) is None
    assert tracking_url("Pony Express", "1") is None
    assert carrier_key("Royal-Mail ") == "royalmail"
