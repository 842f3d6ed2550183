"""A shopper's checkout: claim the idempotency key, decide, write everything at once, then pay.

Placing takes three round trips: BEGIN, ``checkout.facts``, and ``checkout.place`` with its COMMIT. If the facts changed
in between (somebody took the stock), they are read and decided on again, up to DECISIONS_MAX times.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.review_begin import reviews_addresses
from holdfast.database.errors import ConnectionLost, StaleFacts
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.checkout.charge_payment import Attempt
from holdfast.flows.checkout.pay_attempt import Render, pay_attempt, resume_attempt
from holdfast.flows.checkout.payment_means import PaymentMeans, chosen_of
from holdfast.flows.checkout.planning import CheckoutPlan, CheckoutRequest, hold_document, plan_checkout, read_facts
from holdfast.flows.claims.idempotency import Answer, Claim, Earlier, InUse, Patience, Resume, read_earlier
from holdfast.payments.capture_policy import CapturePolicy, policy_of
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require_kind
from holdfast.values.address import Address
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden, InvalidInput, StockContended
from holdfast.values.ids import order_number, uuid7
from holdfast.values.money import Money
from holdfast.values.return_url import return_url_of

OPERATION: Final = "checkout"
DECISIONS_MAX: Final = 3
"""How often a checkout that keeps losing the race reads the facts and decides before it is turned away."""
HOLD_SECONDS_DEFAULT: Final = 900
FIRST_CHECK_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A shopper's order, as requested."""

    caller: Caller
    claim: Claim
    request: CheckoutRequest
    billing_address: Address
    email: str | None
    gateway: str | None
    token: str | None
    notes: str | None = None
    language: str | None = None
    """The language of messages to the shopper (BCP 47)."""
    source: str = "api"
    save_method: bool = False
    payment_method_id: UUID | None = None

    @property
    def means(self) -> PaymentMeans:
        """The means to pay with."""
        return PaymentMeans(self.gateway, self.token, self.save_method, self.payment_method_id)


@dataclass(frozen=True, slots=True)
class Unlocated:
    """The address's position is not known here. The geocoder is asked once this transaction has ended."""


def place_order(runtime: Runtime, command: PlaceOrder, clock: Callable[[], datetime], render: Render) -> Answer:
    """Place the order and charge it. A repetition under the same idempotency key gets the same answer.

    Raises InvalidInput, PriceChanged, OutOfStock, StockContended, CapacityExceeded, IdempotencyKeyReused,
    RequestInProgress or Forbidden (nothing was written), or Transient (a repetition under the same key finds out what
    happened).
    """
    require_kind(command.caller, Operation.PLACE_ORDER)
    command.means.check_caller(command.caller)
    patience = Patience(time.sleep)
    decisions = 0
    tried: dict[UUID, Attempt] = {}
    search = AddressSearch(runtime, command.caller.organization_id, command.request.shipping_address)
    while True:
        try:
            placed = _try_to_place(runtime, command, search, clock(), tried)
        except StaleFacts as stale:
            decisions += 1
            if decisions == DECISIONS_MAX:
                raise StockContended("others were faster, several times over; try again") from stale
            continue
        except ConnectionLost:
            # Whether the COMMIT happened is unknown. The claim will tell, because it names the order it is for.
            decisions += 1
            if decisions == DECISIONS_MAX:
                raise
            continue
        match placed:
            case InUse():
                patience.wait()
            case Unlocated():
                search.asked(clock())
            case Answer():
                return placed
            case Attempt():
                search.written(clock())
                return pay_attempt(runtime, placed, command.claim, command.caller.actor, clock, render)
            case Resume():
                answer = resume_attempt(
                    runtime, command.caller, command.claim, placed, clock, render, first_attempt=True
                )
                if answer is not None:
                    return answer
                patience.wait()


def _try_to_place(
    runtime: Runtime, command: PlaceOrder, search: AddressSearch, now: datetime, tried: dict[UUID, Attempt]
) -> Attempt | Earlier | Unlocated:
    """Read fresh facts, decide once, and place. ``tried`` holds the attempts of this request by their orders' ids."""
    caller = command.caller

    def work(transaction: Transaction) -> Attempt | Earlier | Unlocated:
        facts = read_facts(
            transaction,
            caller,
            command.request.items,
            means=command.means,
            claim=command.claim,
            address=search.wanted(now),
        )
        if facts["claim"] is not None:
            return _of_earlier(facts["claim"], command, now, tried)
        _refuse_unless_active(caller, facts["customer"])
        location = search.known(facts["place"], now)
        if location is None:
            # Decide as if the address were found first: what is refused anyway need not ask the geocoder.
            plan_checkout(command.request, facts, search.provisional(), now)
            return Unlocated()
        plan = plan_checkout(command.request, facts, location, now)
        attempt, document = _decided(command, facts, plan, now, runtime.settings.storefront_return_url)
        document["place"] = search.document(attempt.order_id, now)
        tried[attempt.order_id] = attempt
        result: Mapping[str, Any] = transaction.execute_and_commit(
            "SELECT checkout.place(:organization_id, CAST(:order AS jsonb))",
            organization_id=caller.organization_id,
            order=document,
        )
        if result["outcome"] == "placed":
            return attempt
        return InUse() if result["outcome"] == "busy" else _of_earlier(result, command, now, tried)

    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def _of_earlier(
    earlier: Mapping[str, Any], command: PlaceOrder, now: datetime, tried: Mapping[UUID, Attempt]
) -> Attempt | Earlier:
    """Return what the stored claim means. If its order is of this same request, the answer to a COMMIT was lost."""
    return tried.get(UUID(earlier["order_id"])) or read_earlier(earlier, command.claim, now)


def _decided(
    command: PlaceOrder, facts: Mapping[str, Any], plan: CheckoutPlan, now: datetime, default_return_url: str
) -> tuple[Attempt, dict[str, Any]]:
    """Return the attempt that is to be paid, and the decision as ``checkout.place`` takes it."""
    chosen = chosen_of(
        command.means, facts["gateway_account"], facts["payment_method"], facts["organization"]["settings"]
    )
    amounts = plan.amounts
    if amounts.total_minor == 0:
        raise InvalidInput("there is nothing to pay: free orders are not taken by this checkout")
    customer_id, customer = _customer(command, facts, now)
    order_id, payment_id = uuid7(now), uuid7(now)
    item_ids = {line.variant_id: uuid7(now) for line in plan.lines}
    hold_seconds = int(facts["organization"]["settings"].get("hold_seconds", HOLD_SECONDS_DEFAULT))
    attempt = Attempt(
        organization_id=command.caller.organization_id,
        order_id=order_id,
        order_number=order_number(order_id),
        payment_id=payment_id,
        gateway=chosen.gateway,
        gateway_account_id=chosen.gateway_account_id,
        secret_reference=chosen.secret_reference,
        merchant_account=chosen.merchant_account,
        amount=Money(amounts.total_minor, amounts.currency),
        token=chosen.token,
        capture_now=policy_of(facts["organization"]["settings"].get("capture_policy")) is CapturePolicy.AT_ONCE,
        idempotency_key=f"{order_id}-1",
        begun_at=now,
        return_url=return_url_of(facts["organization"]["settings"], default_return_url, order_id),
        customer_id=customer_id,
        gateway_customer_id=chosen.gateway_customer_id,
        save_method=chosen.save_method,
    )
    document = {
        "claim": command.claim.document(now),
        "customer": customer,
        "order": _order_document(command, facts, plan, attempt),
        "items": _items_document(plan, item_ids),
        "payment": _payment_document(attempt, now),
        "outbox_id": str(uuid7(now)),
        "hold": hold_document(
            plan.allocation,
            item_ids,
            order_id=order_id,
            customer_id=customer_id,
            now=now,
            hold_expires_at=now + timedelta(seconds=hold_seconds),
            performed_by=command.caller.actor,
            strict_capacity=not command.request.allow_capacity_overflow,
        ),
    }
    return attempt, document


def _refuse_unless_active(caller: Caller, customer: Mapping[str, Any] | None) -> None:
    """Raise Forbidden unless the customer is active or not known yet.

    An erased guest stays erased. A registered customer who was erased starts anew with the next order.
    """
    if customer is None or customer["status"] == "active":
        return
    if caller.kind is CallerKind.GUEST and customer["status"] == "deleted":
        raise Forbidden("this guest's data were erased, and the session ended with them: start a new guest session")
    raise Forbidden("this customer's account is not active")


def _customer(command: PlaceOrder, facts: Mapping[str, Any], now: datetime) -> tuple[UUID, dict[str, Any] | None]:
    """Return the customer's id, and the row to create for a shopper who is seen for the first time.

    The row gets only the e-mail address that the token vouches for, if any. Another address that the shopper entered is
    used for this order alone.
    """
    caller, known = command.caller, facts["customer"]
    if known is not None:
        return UUID(known["id"]), None
    is_guest = caller.kind is CallerKind.GUEST
    customer_id = caller.guest_id if caller.guest_id is not None else uuid7(now)
    return customer_id, {
        "auth_subject": None if is_guest else caller.subject,
        "email": caller.email,
        "phone": command.request.shipping_address.phone,
        "name": command.request.shipping_address.name,
    }


def _email(command: PlaceOrder, facts: Mapping[str, Any]) -> str:
    known = facts["customer"]
    email = command.email or command.caller.email or (known["email"] if known else None)
    if not email:
        raise InvalidInput(
            "an e-mail address is needed", errors=[{"field": "email", "message": "required: the token carries none"}]
        )
    return str(email)


def _payment_document(attempt: Attempt, now: datetime) -> dict[str, Any]:
    return {
        "id": str(attempt.payment_id),
        "gateway": attempt.gateway,
        "gateway_account_id": str(attempt.gateway_account_id),
        "token": attempt.token,
        "capture_now": attempt.capture_now,
        "save_method": attempt.save_method,
        "gateway_customer_id": attempt.gateway_customer_id,
        "idempotency_key": attempt.idempotency_key,
        "metadata": attempt.metadata(),
        "next_check_at": (now + timedelta(seconds=FIRST_CHECK_SECONDS)).isoformat(),
    }


def _order_document(
    command: PlaceOrder, facts: Mapping[str, Any], plan: CheckoutPlan, attempt: Attempt
) -> dict[str, Any]:
    amounts, location = plan.amounts, plan.location
    return {
        "id": str(attempt.order_id),
        "order_number": attempt.order_number,
        "email": _email(command, facts),
        "currency": amounts.currency,
        "subtotal": amounts.subtotal_minor,
        "tax": amounts.tax_minor,
        "shipping": amounts.shipping_minor,
        "discount": amounts.discount_minor,
        "total": amounts.total_minor,
        "tax_lines": [line.to_json() for line in amounts.tax_lines],
        "shipping_preference": command.request.preference,
        "is_split_shipment": plan.allocation.is_split,
        "shipping_address": command.request.shipping_address.to_json(),
        "billing_address": command.billing_address.to_json(),
        "latitude": location.coordinates and location.coordinates.latitude,
        "longitude": location.coordinates and location.coordinates.longitude,
        "geocode_quality": location.quality,
        "geocode_requires_review": location.failure is not None
        and reviews_addresses(facts["organization"]["settings"]),
        "allocation_reasons": plan.allocation.reasons,
        "customer_notes": command.notes,
        "language": command.language,
        "source": command.source,
    }


def _items_document(plan: CheckoutPlan, item_ids: Mapping[UUID, UUID]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(item_ids[line.line.variant_id]),
            "variant_id": str(line.line.variant_id),
            "position": position,
            "sku": line.line.sku,
            "name": line.line.name,
            "option_values": plan.variants[line.line.variant_id]["option_values"],
            "image_url": plan.variants[line.line.variant_id]["image_url"],
            "unit_price": line.line.unit_price_minor,
            "quantity": line.line.quantity,
            "subtotal": line.subtotal_minor,
            "tax": line.tax_minor,
            "discount": line.discount_minor,
        }
        for position, line in enumerate(plan.amounts.lines, start=1)
    ]
