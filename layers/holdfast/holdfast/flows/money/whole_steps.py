"""Amounts that a payment's gateway can express: known by its name and the currency, before anything is decided."""

from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.gateways.registry import GATEWAYS
from holdfast.values.errors import NotRepresentable


def step_of(payment: LockedPayment) -> int:
    """What every capture and refund of the payment has to be a multiple of, in minor units: 1 but for a few currencies
    of a few gateways (PayPal takes forints without their fillers)."""
    return GATEWAYS[payment.gateway].step_minor(payment.currency)


def whole_steps(payment: LockedPayment, amount_minor: int) -> int:
    """The most of it that can be asked for."""
    return amount_minor - amount_minor % step_of(payment)


def require_whole_steps(payment: LockedPayment, amount_minor: int) -> None:
    """Raises NotRepresentable, with the step in ``step_minor``, for what the gateway could not be asked for."""
    step = step_of(payment)
    if amount_minor % step:
        raise NotRepresentable(
            f"{payment.gateway} takes {payment.currency} in steps of {step} minor units: {amount_minor} is none",
            currency=payment.currency,
            amount_minor=amount_minor,
            step_minor=step,
        )
