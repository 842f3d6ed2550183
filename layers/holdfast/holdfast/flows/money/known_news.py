"""News that was heard before: most webhooks repeat what the gateway answered a moment ago, and settle nothing.

Facts of a payment only grow, and whoever writes them settles the order in the same transaction. So news of money that
the facts have already leads nowhere, now or later. It is stored like any other and is done with.
"""

from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.money.tidings import Tidings
from holdfast.flows.orders.locked_order import LockedPayment
from holdfast.payments.facts_record import from_json
from holdfast.payments.state import PaymentFacts, is_known

_PAYMENT_OF = "SELECT * FROM payments.facts_at_rest(:organization_id, :payment_id, :gateway_account_id)"
"""The order's row is shared until the event is stored, so that no archive is made of the order without it. One that
somebody works on is not waited for: its event is left to the worker."""


def settles_nothing(payment: LockedPayment, tidings: Tidings) -> bool:
    """Whether the news is known of a payment whose order's row the transaction holds."""
    return _settles_nothing(
        payment.facts, payment.amount, payment.currency, payment.gateway_transaction_id or "", tidings
    )


def is_told_before(transaction: Transaction, gateway_account_id: UUID, payment_id: UUID, tidings: Tidings) -> bool:
    """The same of a payment that nobody has locked. ``False`` also where it cannot be told without waiting."""
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
