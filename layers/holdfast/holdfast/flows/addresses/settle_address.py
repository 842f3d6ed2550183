"""Settle the address of an order under review, as right as it is or with another one, and confirm the order.

This is the common core of what shoppers do through their link and staff do on their behalf. The caller has locked the
review (``lock_review``), and before that has looked up a new address outside any transaction (``look_for``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from holdfast.addresses.model import AddressReviewStatus, AddressReviewStep
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.addresses.locked_review import LockedReview
from holdfast.flows.addresses.review_of_step import ReviewEnding
from holdfast.flows.checkout.planning import read_facts
from holdfast.flows.money.settlement import write
from holdfast.flows.money.settlement_document import Settlement
from holdfast.flows.orders.readdress_order import NewAddress, readdress
from holdfast.inventory.reallocation import Cause
from holdfast.orders.lifecycle import OrderStatus, check_transition
from holdfast.runtime import Runtime
from holdfast.values.address import Address
from holdfast.values.errors import Rejected


class AddressNotFound(Rejected):
    """The corrected address was not found either. Facts: ``reason``. The caller may insist on it (``confirm``)."""

    code: ClassVar[str] = "address_not_found"


@dataclass(frozen=True, slots=True)
class Correction:
    """A new address, with the search that found its position."""

    address: Address
    search: AddressSearch
    is_shoppers: bool
    """The shopper gave it, not the staff."""


def look_for(
    runtime: Runtime,
    organization_id: UUID,
    address: Address,
    clock: Callable[[], datetime],
    *,
    is_confirmed: bool,
    is_shoppers: bool,
) -> Correction:
    """Find out where a corrected address is.

    Raises AddressNotFound if it is found at best approximately, unless somebody has confirmed that it is right.
    """
    search = AddressSearch(runtime, organization_id, address)
    now = clock()
    with runtime.database.transaction(organization_id, now=now) as transaction:
        wanted = search.wanted(now)
        place = None if wanted is None else read_facts(transaction, None, [], address=wanted)["place"]
    if search.known(place, now) is None:
        search.asked(clock())
    failure = search.found.failure
    if failure is not None and not is_confirmed:
        raise AddressNotFound(
            "this address was not found either: correct it, or say that it is right as it is", reason=failure.reason
        )
    return Correction(address, search, is_shoppers)


def settle_address(
    transaction: Transaction, review: LockedReview, correction: Correction | None, notes: str | None
) -> Mapping[str, Any]:
    """Settle the address, confirm the order, end its review, and return the order's view.

    A ``correction`` of ``None`` means that the address is right as it is. For another address, the goods are allocated
    anew where that saves enough. Raises TransitionRefused for an order that is not under review, or InvalidInput for a
    destination that the shop does not ship to.
    """
    order = review.order
    check_transition(order.status, OrderStatus.CONFIRMED)
    if correction is None:
        return _confirm(transaction, review, Settlement(order_id=order.id), AddressReviewStatus.RESOLVED, notes, {})
    new = NewAddress(
        correction.address, correction.search, Cause.ADDRESS_REVIEW, correction.is_shoppers, called="address"
    )
    changed = readdress(transaction, order, new)
    details = {
        "geocode_quality": correction.search.found.quality,
        "reallocation": changed.reallocation.to_json(),
        "price": changed.price.to_json(),
    }
    is_another = bool(changed.settlement.topics)
    status = AddressReviewStatus.CORRECTED if is_another else AddressReviewStatus.RESOLVED
    return _confirm(transaction, review, changed.settlement, status, notes, details if is_another else {})


def _confirm(
    transaction: Transaction,
    review: LockedReview,
    settlement: Settlement,
    status: AddressReviewStatus,
    notes: str | None,
    details: Mapping[str, Any],
) -> Mapping[str, Any]:
    is_corrected = status is AddressReviewStatus.CORRECTED
    step = AddressReviewStep.CORRECTED if is_corrected else AddressReviewStep.RESOLVED
    view: Mapping[str, Any] = write(
        transaction,
        review.order,
        replace(
            settlement,
            path=(OrderStatus.CONFIRMED,),
            notes="the address was corrected" if is_corrected else "the address is right as it is",
            topics=(*settlement.topics, "order.confirmed"),
            review_ending=ReviewEnding(status, step, notes, details),
        ),
    )
    return view
