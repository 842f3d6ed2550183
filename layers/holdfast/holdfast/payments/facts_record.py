"""The facts of a payment in the form in which they are stored with it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from holdfast.payments import captures, disputes
from holdfast.payments.model import RefundStatus
from holdfast.payments.state import Failure, PaymentFacts, RefundFact
from holdfast.values.instants import instant_from


def to_json(facts: PaymentFacts) -> dict[str, Any]:
    """Return the facts as JSON values, with instants in ISO 8601."""
    failure = facts.failure
    return {
        "amount_minor": facts.amount_minor,
        "processing": facts.processing,
        "requires_action": facts.requires_action,
        "authorized": facts.authorized,
        "authorized_minor": facts.authorized_minor,
        "authorization_expires_at": _text(facts.authorization_expires_at),
        "captured_minor": facts.captured_minor,
        "captured_at": _text(facts.captured_at),
        "capture_failed_at": _text(facts.capture_failed_at),
        "captures": [captures.to_json(capture) for capture in facts.captures],
        "released": facts.released,
        "failed": facts.failed,
        "cancelled": facts.cancelled,
        "expired": facts.expired,
        "failure": failure
        and {"occurred_at": _text(failure.occurred_at), "code": failure.code, "message": failure.message},
        "refunds": [
            {
                "gateway_refund_id": refund.gateway_refund_id,
                "status": refund.status.value,
                "amount_minor": refund.amount_minor,
            }
            for refund in facts.refunds
        ],
        "disputes": [disputes.to_json(dispute) for dispute in facts.disputes],
    }


def from_json(document: Mapping[str, Any]) -> PaymentFacts:
    """Return the facts that ``to_json`` wrote. Raises KeyError or ValueError for anything else."""
    failure = document["failure"]
    return PaymentFacts(
        amount_minor=document["amount_minor"],
        processing=document["processing"],
        requires_action=document["requires_action"],
        authorized=document["authorized"],
        authorized_minor=document["authorized_minor"],
        authorization_expires_at=instant_from(document["authorization_expires_at"]),
        captured_minor=document["captured_minor"],
        captured_at=instant_from(document["captured_at"]),
        capture_failed_at=instant_from(document["capture_failed_at"]),
        captures=tuple(captures.from_json(capture) for capture in document["captures"]),
        released=document["released"],
        failed=document["failed"],
        cancelled=document["cancelled"],
        expired=document["expired"],
        failure=failure
        and Failure(datetime.fromisoformat(failure["occurred_at"]), failure["code"], failure["message"]),
        refunds=tuple(
            RefundFact(refund["gateway_refund_id"], RefundStatus(refund["status"]), refund["amount_minor"])
            for refund in document["refunds"]
        ),
        disputes=tuple(disputes.from_json(dispute) for dispute in document["disputes"]),
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
