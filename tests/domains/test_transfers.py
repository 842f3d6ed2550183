"""Whatever is done to a transfer, in whatever order, every piece is in exactly one place."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.transfers import Transfer, TransferStatus, arrive, call_off, ship
from holdfast.values.errors import Conflict

STEPS = st.one_of(
    st.just(("ship", 0, 0)),
    st.just(("call_off", 0, 0)),
    st.tuples(st.just("arrive"), st.integers(0, 6), st.integers(0, 3)),
)
OVER = {TransferStatus.COMPLETED, TransferStatus.CANCELLED}


def of(quantity: int) -> Transfer:
    return Transfer(UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), quantity)


def take(transfer: Transfer, step: tuple[str, int, int]) -> Transfer:
    name, received, written_off = step
    if name == "ship":
        return ship(transfer)
    return call_off(transfer) if name == "call_off" else arrive(transfer, received, written_off)


@given(st.integers(1, 12), st.lists(STEPS, max_size=12))
def test_every_piece_is_at_the_source_under_way_at_the_destination_or_written_off(
    quantity: int, steps: list[tuple[str, int, int]]
) -> None:
    transfer, shipped = of(quantity), False
    for step in steps:
        before = transfer
        try:
            transfer = take(transfer, step)
        except Conflict:
            continue
        assert before.status not in OVER, "what is over stays as it is"
        shipped = shipped or step[0] == "ship"
        counted = transfer.received + transfer.written_off + transfer.returned + transfer.in_transit
        assert counted == (quantity if shipped else 0)
        assert min(transfer.received, transfer.written_off, transfer.returned, transfer.in_transit) >= 0
        assert (transfer.in_transit > 0) == (transfer.status is TransferStatus.IN_TRANSIT)
        assert (transfer.status is TransferStatus.COMPLETED) <= (transfer.returned == 0)


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ([], ("arrive", 1, 0)),
        ([("ship", 0, 0)], ("ship", 0, 0)),
        ([("ship", 0, 0)], ("arrive", 4, 2)),
        ([("ship", 0, 0), ("arrive", 5, 0)], ("call_off", 0, 0)),
        ([("call_off", 0, 0)], ("ship", 0, 0)),
        ([("call_off", 0, 0)], ("call_off", 0, 0)),
    ],
)
def test_a_step_out_of_place_is_refused(steps: list[tuple[str, int, int]], refused: tuple[str, int, int]) -> None:
    transfer = of(5)
    for step in steps:
        transfer = take(transfer, step)
    with pytest.raises(Conflict):
        take(transfer, refused)
