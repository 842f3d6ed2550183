"""A shopper follows the link in the mail, sees which address was not found, and corrects or confirms it.

The link is the only proof of identity. It is signed, names one review of one organization, expires with the deadline,
and is used up when the review ends, whoever ends it. A correction, the deadline and a second click at the same instant
wait for each other at the order's row, and the first of them wins.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.model import OPEN_REVIEWS, AddressReviewStatus
from holdfast.addresses.review_link import LinkExpired, LinkInvalid, LinkUsed, ReviewLink
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locked_review import address_under_review, lock_review
from holdfast.flows.addresses.read_reviews import one_review
from holdfast.flows.addresses.review_links import read_link
from holdfast.flows.addresses.settle_address import Correction, look_for, settle_address
from holdfast.flows.money.return_money import return_money_owed
from holdfast.flows.operations.ring_bell import ring_outbox_bell
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.errors import NotFound

ACTOR: Final = "customer:address_review_link"
_WITHOUT_PERSON: Final = ("line1", "line2", "city", "region", "postal_code", "country")


@dataclass(frozen=True, slots=True)
class CorrectedAddress:
    """What a shopper may correct: where the parcel goes. Name and phone stay as they were unless given anew."""

    line1: str
    city: str
    postal_code: str
    country: str
    line2: str | None = None
    region: str | None = None
    name: str | None = None
    phone: str | None = None

    def on(self, current: Address) -> Address:
        """Return the whole address: this correction applied to the current one."""
        return Address(
            name=self.name or current.name,
            line1=self.line1,
            line2=self.line2,
            city=self.city,
            region=self.region,
            postal_code=self.postal_code,
            country=self.country,
            phone=self.phone or current.phone,
        )


@dataclass(frozen=True, slots=True)
class AnswerReview:
    """The shopper's answer: another address, or (``is_confirmed``) that it is right even if it is not found."""

    token: str
    address: CorrectedAddress | None
    is_confirmed: bool


def show_review(runtime: Runtime, token: str, now: datetime) -> dict[str, Any]:
    """Return what the correction page shows, which does not include who the shopper is.

    Raises LinkInvalid, LinkExpired or LinkUsed, or Transient.
    """
    link = read_link(runtime, token, now)
    with runtime.database.transaction(link.organization_id, now=now, actor=ACTOR) as transaction:
        _check_link(transaction, link)
        return _shown(transaction, link.review_id)


def answer_review(runtime: Runtime, answer: AnswerReview, clock: Callable[[], datetime]) -> dict[str, Any]:
    """Settle the address as the shopper says, and confirm the order.

    Raises LinkInvalid, LinkExpired, LinkUsed, AddressNotFound (nothing was changed, and the shopper may insist),
    InvalidInput (the shop does not ship there), or Transient.
    """
    now = clock()
    link = read_link(runtime, answer.token, now)
    correction = _correction(runtime, link, answer, clock)

    def work(transaction: Transaction) -> tuple[UUID, dict[str, Any]]:
        try:
            review = lock_review(transaction, link.review_id)
        except NotFound as error:
            raise LinkInvalid("there is no such link") from error
        # Check again under the lock, because the deadline or another click may have been faster.
        _check_link(transaction, link)
        settle_address(transaction, review, correction, None)
        return review.order.id, _shown(transaction, review.id)

    order_id, shown = runtime.database.transact(link.organization_id, work, now=now, actor=ACTOR)
    if correction is not None:
        correction.search.written(clock())
    return_money_owed(runtime, link.organization_id, order_id, clock)
    ring_outbox_bell(runtime)
    return shown


def _correction(
    runtime: Runtime, link: ReviewLink, answer: AnswerReview, clock: Callable[[], datetime]
) -> Correction | None:
    """Return the new address with its position, or ``None`` if the address stays as it is.

    A link that is refused anyway must not cause a call to the geocoder.
    """
    with runtime.database.transaction(link.organization_id, now=clock(), actor=ACTOR) as transaction:
        order_id = _check_link(transaction, link)
        current = address_under_review(transaction, order_id)
    if answer.address is None:
        return None
    address = answer.address.on(current)
    return look_for(runtime, link.organization_id, address, clock, is_confirmed=answer.is_confirmed, is_shoppers=True)


def _check_link(transaction: Transaction, link: ReviewLink) -> UUID:
    """Return the id of the order under review. Raises LinkInvalid, LinkUsed or LinkExpired."""
    review = transaction.row(
        """
        SELECT r.order_id, r.nonce, r.status, r.deadline_at FROM addresses.reviews r
         WHERE r.organization_id = :organization_id AND r.id = :id
        """,
        organization_id=transaction.tenant,
        id=link.review_id,
    )
    if review is None or not hmac.compare_digest(review.nonce, link.nonce):
        raise LinkInvalid("there is no such link")
    status = AddressReviewStatus(review.status)
    if status is AddressReviewStatus.CANCELLED:
        raise LinkUsed("the order was cancelled: its address is not needed any more")
    if status not in OPEN_REVIEWS:
        raise LinkUsed("the address was settled before: this link was good for one time")
    if transaction.now >= review.deadline_at:
        raise LinkExpired("the time to check the address is over")
    order_id: UUID = review.order_id
    return order_id


def _shown(transaction: Transaction, review_id: UUID) -> dict[str, Any]:
    review = one_review(transaction, review_id)
    address: Mapping[str, Any] = review["address"]
    return {
        "order_number": review["order_number"],
        "status": review["status"],
        "reason": review["reason"],
        "address": {part: address.get(part) for part in _WITHOUT_PERSON},
        "deadline_at": review["deadline_at"],
        "timezone": review["timezone"],
    }
