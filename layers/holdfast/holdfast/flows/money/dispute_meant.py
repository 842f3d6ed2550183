"""Resolve which dispute is meant by news that names its payment in place of the dispute."""

from dataclasses import replace

from holdfast.flows.money.payment_news import Tidings
from holdfast.payments.disputes import DISPUTE_NEWS, meant_by
from holdfast.payments.state import PaymentFacts
from holdfast.values.errors import Transient


class DisputeUnknown(Transient):
    """The dispute that is meant is not known, or not yet."""


def names_payment(tidings: Tidings, gateway_transaction_id: str | None) -> bool:
    """Return whether the news is about a dispute but carries the payment's id instead of the dispute's."""
    news = tidings.news
    is_named = news.gateway_dispute_id is not None and news.gateway_dispute_id != gateway_transaction_id
    return news.event_type in DISPUTE_NEWS and not is_named


def with_dispute(tidings: Tidings, facts: PaymentFacts, gateway_transaction_id: str | None) -> Tidings:
    """Return the news with the id of the dispute it is about. Raises DisputeUnknown while no such dispute is known."""
    if not names_payment(tidings, gateway_transaction_id):
        return tidings
    meant = meant_by(facts.disputes, tidings.news.occurred_at, gateway_transaction_id)
    if meant is None:
        raise DisputeUnknown(f"no dispute over {gateway_transaction_id} is known that this could be about")
    return replace(tidings, news=replace(tidings.news, gateway_dispute_id=meant.gateway_dispute_id))
