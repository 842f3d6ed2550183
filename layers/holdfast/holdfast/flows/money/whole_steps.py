"""Amounts that a payment's gateway can express: known from gateway and currency before anything is decided."""

from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.gateways.registry import GATEWAYS
from holdfast.values.errors import NotRepresentable


def step_of(payment: LockedPayment) -> int:
    """Return the step, in minor units, of which every capture and refund of the payment must be a multiple.

    It is 1 except for a few currencies at a few gateways (PayPal takes forints only without fillers).
    """
    return GATEWAYS[payment.gateway].step_minor(payment.currency)


def whole_steps(payment: LockedPayment, amount_minor: int) -> int:
    """Return the largest part of the amount that can be requested."""
    return amount_minor - amount_minor % step_of(payment)


def require_whole_steps(payment: LockedPayment, amount_minor: int) -> None:
    """Raise NotRepresentable, with the step in ``step_minor``, for an amount that cannot be requested."""
    step = step_of(payment)
    if amount_minor % step:
        raise NotRepresentable(
            f"{payment.gateway} takes {payment.currency} in steps of {step} minor units: {amount_minor} is none",
            currency=payment.currency,
            amount_minor=amount_minor,
            step_minor=step,
        )
