"""Adyen's disputes: what one item of a notification says about a dispute. Pure.

Source: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications (codes, status, references),
/risk-management/understanding-disputes/dispute-process-and-flow (the stages) and Webhooks v1 of
https://docs.adyen.com/api-explorer (``additionalData``).

**Documented.** CHARGEBACK takes the money, usually a few days after NOTIFICATION_OF_CHARGEBACK; a request for
information takes none. DISPUTE_DEFENSE_PERIOD_ENDED means that nobody defended in time or that the shop accepted.
CHARGEBACK_REVERSED gives the money back but is not the end: SECOND_CHARGEBACK, PREARBITRATION_LOST or
SCHEME_ARBITRATION_LOST take it again; PREARBITRATION_WON, SCHEME_ARBITRATION_WON and ISSUER_RESPONSE_TIMEFRAME_EXPIRED
leave it with the shop. Items from Brazil have no ``disputeStatus``. Unless an account asks for "the originalReference
for CHARGEBACK_REVERSED events", that event, the second chargeback and the pre-arbitrations carry no original reference.

**Not documented, and not tested against Adyen.**

- Whether DISPUTE_DEFENSE_PERIOD_ENDED also ends a request for information. An item that gives the reason of a request
  and none of a chargeback is read that way: nothing was lost. Any other is a lost chargeback, even when CHARGEBACK has
  not arrived yet: nobody defends it any more, and a refund of money that is about to be taken would be lost as well.
- Whether a CHARGEBACK may follow that end. One that the shop accepted, that cannot be defended, or whose defense period
  is over is lost on arrival; one that says none of this reopens the dispute.
- Which reference an item without ``originalReference`` carries. It is taken for the payment's; ``flows/money`` finds
  the dispute that is meant (``payments.disputes.meant_by``).
"""

from collections.abc import Mapping
from typing import Any, Final

from holdfast.gateways.adyen_objects import money_of, read_payment_reference, reason_code
from holdfast.gateways.fields import text, utc_instant
from holdfast.values.payment_events import DisputeOutcome, EventType

DISPUTE_EVENTS: Final[Mapping[str, EventType]] = {
    "REQUEST_FOR_INFORMATION": EventType.DISPUTE_OPENED,
    "NOTIFICATION_OF_CHARGEBACK": EventType.DISPUTE_OPENED,
    "CHARGEBACK": EventType.DISPUTE_OPENED,
    "CHARGEBACK_REVERSED": EventType.DISPUTE_UPDATED,
    "DISPUTE_DEFENSE_PERIOD_ENDED": EventType.DISPUTE_CLOSED,
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": EventType.DISPUTE_CLOSED,
    "PREARBITRATION_WON": EventType.DISPUTE_CLOSED,
    "PREARBITRATION_LOST": EventType.DISPUTE_CLOSED,
    "SCHEME_ARBITRATION_WON": EventType.DISPUTE_CLOSED,
    "SCHEME_ARBITRATION_LOST": EventType.DISPUTE_CLOSED,
    "SECOND_CHARGEBACK": EventType.DISPUTE_CLOSED,
}
"""The event that each code stands for, unless the item's status says that the dispute is over."""
_ENDS: Final[Mapping[str, DisputeOutcome]] = {
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": DisputeOutcome.WON,
    "PREARBITRATION_WON": DisputeOutcome.WON,
    "PREARBITRATION_LOST": DisputeOutcome.LOST,
    "SCHEME_ARBITRATION_WON": DisputeOutcome.WON,
    "SCHEME_ARBITRATION_LOST": DisputeOutcome.LOST,
    "SECOND_CHARGEBACK": DisputeOutcome.LOST,
}
_OUTCOMES: Final[Mapping[str, DisputeOutcome]] = {
    "Won": DisputeOutcome.WON,
    "Lost": DisputeOutcome.LOST,
    "Accepted": DisputeOutcome.LOST,
    "Expired": DisputeOutcome.LOST,
}
_DEFENDED: Final = "Pending"

Item = Mapping[str, Any]


def read_dispute(item: Item) -> dict[str, Any]:
    """Return the dispute's part of an event. Raises the errors in ``fields.UNREADABLE``."""
    code, more, amount = item["eventCode"], item.get("additionalData") or {}, money_of(item["amount"])
    due_at, outcome = more.get("defensePeriodEndsAt"), _outcome(item, more)
    payment_id, _ = read_payment_reference(item.get("merchantReference"))
    payment, dispute = item.get("originalReference"), text(item["pspReference"])
    event_type = DISPUTE_EVENTS[code]
    if outcome is None and event_type is EventType.DISPUTE_CLOSED:
        event_type = EventType.DISPUTE_UPDATED
    return {
        # If our reference is missing too, the dispute's own may lead to the payment.
        "gateway_transaction_id": payment or (None if payment_id else dispute),
        "payment_id": payment_id,
        "event_type": EventType.DISPUTE_CLOSED if outcome else event_type,
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "gateway_dispute_id": dispute,
        "dispute_reason": more.get("chargebackReasonCode") or reason_code(item.get("reason")),
        "dispute_due_at": utc_instant(due_at) if due_at else None,
        "dispute_outcome": outcome,
        "dispute_lost_minor": amount.amount_minor if outcome is DisputeOutcome.LOST else 0,
    }


def status_of(item: Item) -> str | None:
    """Return the status of the dispute, if the item states one. Raises ``AttributeError`` for a malformed item."""
    status = (item.get("additionalData") or {}).get("disputeStatus")
    return status if isinstance(status, str) else None


def _outcome(item: Item, more: Item) -> DisputeOutcome | None:
    code, status = item["eventCode"], status_of(item) or ""
    if code in _ENDS:
        return _ENDS[code]
    outcome = _OUTCOMES.get(status)
    if code == "CHARGEBACK":
        return DisputeOutcome.LOST if outcome is None and _is_beyond_defense(item, more, status) else outcome
    if code == "DISPUTE_DEFENSE_PERIOD_ENDED":
        if outcome is DisputeOutcome.WON or status == _DEFENDED:
            return outcome
        return DisputeOutcome.WITHDRAWN if _is_question(more) else DisputeOutcome.LOST
    # An item that took no money, or gave it back, loses none even if nobody responded to it.
    return DisputeOutcome.WITHDRAWN if outcome is DisputeOutcome.LOST else outcome


def _is_beyond_defense(item: Item, more: Item, status: str) -> bool:
    due_at = more.get("defensePeriodEndsAt")
    is_over = bool(due_at) and utc_instant(item["eventDate"]) >= utc_instant(due_at)
    return status != _DEFENDED and (is_over or str(more.get("defendable")).lower() == "false")


def _is_question(more: Item) -> bool:
    """Return whether the item is about a request for information, judging by the reasons that it gives."""
    names_request = any(more.get(name) for name in ("rfiReasonCode", "rfiSchemeCode"))
    return names_request and not any(more.get(name) for name in ("chargebackReasonCode", "chargebackSchemeCode"))
