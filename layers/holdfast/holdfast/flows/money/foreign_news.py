"""News that cannot be true of the payment it names: of another transaction, in another currency, of another sum."""

from typing import Final

from holdfast.flows.money.refund_news import REFUND_NEWS
from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.payments.disputes import DISPUTE_NEWS
from holdfast.payments.state import PaymentNews
from holdfast.values.errors import InvalidInput
from holdfast.values.payment_events import EventType

_CAPTURE_NEWS: Final = frozenset({EventType.CAPTURE_REQUESTED, EventType.CAPTURE_SUCCEEDED, EventType.CAPTURE_FAILED})
_OF_A_PART: Final = REFUND_NEWS | DISPUTE_NEWS | _CAPTURE_NEWS


def refuse_foreign(
    payment: LockedPayment, news: PaymentNews, currency: str | None, gateway_transaction_id: str | None
) -> None:
    """Raises InvalidInput for news that is not this payment's, whatever reference it carries."""
    if currency is not None and currency != payment.currency:
        raise InvalidInput(f"news in {currency} about a payment in {payment.currency}")
    if len({gateway_transaction_id, payment.gateway_transaction_id} - {None}) > 1:
        raise InvalidInput(f"news of {gateway_transaction_id}; the payment is {payment.gateway_transaction_id}")
    if news.event_type not in _OF_A_PART and news.amount_minor not in (None, payment.amount):
        raise InvalidInput(f"news of {news.amount_minor} about a payment of {payment.amount}")
