"""Refunds: bounded by what was captured. Some are pending first, some fail after they succeeded."""

from typing import Final

from local.gateway_server.model import Json, new_id
from local.stripe_server import forms
from local.stripe_server.amounts import check_grain, display
from local.stripe_server.cards import CARDS, RefundFate
from local.stripe_server.errors import invalid_request, missing
from local.stripe_server.forms import Params
from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Charge, Refund
from local.stripe_server.objects import list_json, refund_json

CREATE_PARAMETERS: Final = frozenset(
    ("amount", "charge", "expand", "instructions_email", "metadata", "payment_intent", "reason",
     "refund_application_fee", "reverse_transfer")
)  # fmt: skip
_REASONS: Final = frozenset(("duplicate", "fraudulent", "requested_by_customer"))


def create(ledger: Ledger, account: str, params: Params) -> Json:
    """``POST /v1/refunds``: refund all that is left, or ``amount``."""
    forms.refuse_unknown(params, CREATE_PARAMETERS)
    reason = forms.text(params, "reason")
    if reason is not None and reason not in _REASONS:
        raise invalid_request(f"Invalid reason: must be one of {', '.join(sorted(_REASONS))}", param="reason")
    charge = _charge(ledger, account, params)
    left = charge.amount_captured - charge.amount_refunded
    if charge.disputed:
        raise invalid_request(
            f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if left <= 0:
        raise invalid_request(
            f"Charge {charge.id} has already been refunded.", code="charge_already_refunded", stored=True
        )
    amount = forms.integer(params, "amount")
    amount = left if amount is None else amount
    if amount < 1:
        raise invalid_request("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise invalid_request(
            f"Refund amount ({display(amount, charge.currency)}) is greater than unrefunded amount on charge "
            f"({display(left, charge.currency)})",
            param="amount",
            stored=True,
        )
    check_grain(amount, charge.currency)
    intent = ledger.intents[charge.intent]
    intent.refund_fate = ledger.call.refund_fate or intent.refund_fate
    pending = fate_of(ledger, charge) is RefundFate.PENDING_FIRST
    refund = Refund(
        id=new_id("re"),
        account=account,
        intent=intent.id,
        charge=charge.id,
        amount=amount,
        currency=charge.currency,
        created=ledger.now(),
        status="pending" if pending else "succeeded",
        reason=reason,
        metadata=forms.metadata(params),
    )
    ledger.refunds[refund.id] = refund
    intent.refunds.append(refund.id)
    charge.amount_refunded += amount
    ledger.tell_refund("refund.created", refund)
    ledger.tell_charge("charge.refunded", charge)
    return refund_json(refund)


def fate_of(ledger: Ledger, charge: Charge) -> RefundFate:
    """Return the fate of this charge's refunds: the one commanded, or the card's."""
    commanded = ledger.intents[charge.intent].refund_fate
    return RefundFate(commanded) if commanded else CARDS[charge.card_token].refund_fate


def succeed(ledger: Ledger, refund: Refund) -> None:
    """Let a pending refund arrive."""
    if refund.status == "pending":
        refund.status = "succeeded"
        ledger.tell_refund("refund.updated", refund)


def fail(ledger: Ledger, refund: Refund, failure_reason: str) -> None:
    """Let a refund come back, even one that had succeeded: the money is on the charge again."""
    if refund.status not in {"pending", "succeeded"}:
        return
    refund.status, refund.failure_reason = "failed", failure_reason
    ledger.charges[refund.charge].amount_refunded -= refund.amount
    ledger.tell_refund("refund.updated", refund)
    ledger.tell_refund("refund.failed", refund)


def retrieve(ledger: Ledger, account: str, identifier: str) -> Json:
    """``GET /v1/refunds/{id}``."""
    refund = ledger.refunds.get(identifier)
    if refund is None or refund.account != account:
        raise missing("refund", identifier, param="id")
    return refund_json(refund)


def list_all(ledger: Ledger, account: str, params: Params) -> Json:
    """``GET /v1/refunds``, newest first, of one intent or of all."""
    limit = min(forms.integer(params, "limit") or 10, 100)
    identifier = forms.text(params, "payment_intent")
    if identifier:
        ids = ledger.intent(account, identifier).refunds
        mine = [ledger.refunds[refund_id] for refund_id in reversed(ids)]
    else:
        mine = [refund for refund in reversed(ledger.refunds.values()) if refund.account == account]
    return list_json("/v1/refunds", [refund_json(refund) for refund in mine[:limit]], has_more=len(mine) > limit)


def _charge(ledger: Ledger, account: str, params: Params) -> Charge:
    intent_id, charge_id = forms.text(params, "payment_intent"), forms.text(params, "charge")
    if intent_id is None and charge_id is None:
        raise invalid_request(
            "One of the following params should be provided for this request: payment_intent or charge."
        )
    if intent_id is not None:
        intent = ledger.intents.get(intent_id)
        if intent is None or intent.account != account:
            raise missing("payment_intent", intent_id, param="payment_intent")
        charge = ledger.latest_charge(intent)
    else:
        charge = ledger.charges.get(charge_id or "")
        if charge is None or charge.account != account:
            raise missing("charge", charge_id or "", param="charge")
    if charge is None or not charge.captured:
        raise invalid_request(
            f"This PaymentIntent ({intent_id or charge_id}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return charge
