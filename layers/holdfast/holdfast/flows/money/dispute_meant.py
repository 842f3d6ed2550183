"""News of a dispute that the gateway calls by its payment's id: which dispute it is about, from what is known."""

from dataclasses import replace

from holdfast.flows.money.tidings import Tidings
from holdfast.payments.disputes import DISPUTE_NEWS, meant_by
from holdfast.payments.state import PaymentFacts
from holdfast.values.errors import Transient


class DisputeUnknown(Transient):
    """The dispute that is meant was not heard of: perhaps not yet."""


def names_payment(tidings: Tidings, gateway_transaction_id: str | None) -> bool:
    """Whether the news is of a dispute and names the payment in its place."""
    news = tidings.news
    is_named = news.gateway_dispute_id is not None and news.gateway_dispute_id != gateway_transaction_id
    return news.event_type in DISPUTE_NEWS and not is_named


def with_dispute(tidings: Tidings, facts: PaymentFacts, gateway_transaction_id: str | None) -> Tidings:
    """The news with the dispute that it is about. Raises DisputeUnknown while there is none."""
    if not names_payment(tidings, gateway_transaction_id):
        return tidings
    meant = meant_by(facts.disputes, tidings.news.occurred_at, gateway_transaction_id)
    if meant is None:
        raise DisputeUnknown(f"no dispute over {gateway_transaction_id} is known that this could be about")
    return replace(tidings, news=replace(tidings.news, gateway_dispute_id=meant.gateway_dispute_id))
