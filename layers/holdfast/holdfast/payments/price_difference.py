"""What a payment took beyond the price of its order, because the price fell after the shopper agreed to pay.

The figure follows from the present state and never from what happened. Whoever asks under the order's lock, whenever
and however often, gets what is not decided yet. So it is given back once, even if the same thing is asked twice, late
or at the same instant.
"""


def owed_minor(*, price_minor: int, taken_minor: int, decided_minor: int, returnable_minor: int) -> int:
    """Return what is to be given back now, in minor units.

    ``decided_minor`` is the sum of all price differences decided before, failed ones included: a refund that the
    gateway could not carry out is with a person and is not started again behind that person's back. The result never
    exceeds ``returnable_minor``: what was taken and is neither given back, nor on its way, nor lost in a dispute.
    """
    return max(0, min(taken_minor - price_minor - decided_minor, returnable_minor))
