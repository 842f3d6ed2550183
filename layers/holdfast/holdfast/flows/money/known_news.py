"""News that is known already: most webhooks repeat what the gateway answered a moment ago and settle nothing.

The facts of a payment only grow, and whoever writes them settles the order in the same transaction. So news of money
that the facts already contain has no effect, now or later. It is stored like any other and marked as done.
"""

from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.payment_news import Tidings
from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.payments.facts_record import from_json
from holdfast.payments.state import PaymentFacts, is_known

_PAYMENT_OF = "SELECT * FROM payments.facts_at_rest(:organization_id, :payment_id, :gateway_account_id)"
"""Share-locks the order's row until the event is stored, so that the order is not archived without it.

A row that is locked by someone else is skipped, not waited for: its event is left to the worker.
"""


def settles_nothing(payment: LockedPayment, tidings: Tidings) -> bool:
    """Return whether the payment's facts already contain the news. The transaction holds the lock of its order."""
    return _settles_nothing(
        payment.facts, payment.amount, payment.currency, payment.gateway_transaction_id or "", tidings
    )


def is_told_before(transaction: Transaction, gateway_account_id: UUID, payment_id: UUID, tidings: Tidings) -> bool:
    """Return the same for a payment that is not locked; ``False`` also if this cannot be told without waiting."""
    row = transaction.row(
        _PAYMENT_OF,
        organization_id=transaction.tenant,
        payment_id=payment_id,
        gateway_account_id=gateway_account_id,
    )
    return row is not None and _settles_nothing(
        from_json(row.facts), row.amount, row.currency, row.gateway_transaction_id or "", tidings
    )


def _settles_nothing(
    facts: PaymentFacts, amount_minor: int, currency: str, gateway_transaction_id: str, tidings: Tidings
) -> bool:
    is_of_payment = (
        tidings.gateway_transaction_id == gateway_transaction_id
        and tidings.currency == currency
        and tidings.news.amount_minor in (None, amount_minor)
    )
    brings_more = tidings.saved_method is not None or tidings.refund_id is not None
    return is_of_payment and not brings_more and is_known(facts, tidings.news)
