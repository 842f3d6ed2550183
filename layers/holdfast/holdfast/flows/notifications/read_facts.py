"""The order as a mail may describe it, read in one statement: what is true now, not at the time of the event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.addresses.timezones import zone_of
from holdfast.database.transaction import Transaction
from holdfast.flows.addresses.review_links import review_url
from holdfast.notifications.facts import (
    Facts,
    MoneyFacts,
    OrderFacts,
    RefundFacts,
    ReviewFacts,
    ShipmentFacts,
    ShopFacts,
    address_lines,
    lines_of,
)
from holdfast.notifications.model import MailKind
from holdfast.notifications.wording import language_of
from holdfast.runtime import Runtime
from holdfast.values.money import Money
from holdfast.values.return_url import return_url_of

_OF_REVIEW: Final = (MailKind.ADDRESS_CHECK, MailKind.ADDRESS_REMINDER)

_READ: Final = "SELECT notifications.order_facts(:organization_id, :order_id, CAST(:refund_id AS uuid), :late)"


def read_facts(
    runtime: Runtime,
    transaction: Transaction,
    kind: MailKind,
    order_id: UUID,
    *,
    shipment_id: UUID | None,
    refund_id: UUID | None,
) -> Facts | None:
    """Return what a mail of this kind describes, or ``None`` if the order is gone (archived or deleted)."""
    # If more has to be read for the mail, the transaction must not end with this statement.
    reads_more = shipment_id is not None or kind in _OF_REVIEW
    run = transaction.value if reads_more else transaction.execute_and_commit
    read: Mapping[str, Any] | None = run(
        _READ,
        organization_id=transaction.tenant,
        order_id=order_id,
        refund_id=refund_id,
        late=kind is MailKind.LATE_PAYMENT_RETURNED,
    )
    if read is None:
        return None
    order, settings = read["order"], read["shop"]["settings"]
    currency = order["currency"]
    return Facts(
        shop=ShopFacts(
            name=str(settings.get("mail_from_name") or read["shop"]["name"]),
            reply_to=settings.get("mail_reply_to"),
            order_url=return_url_of(settings, runtime.settings.storefront_return_url, order_id),
        ),
        order=OrderFacts(
            number=order["number"],
            status=order["status"],
            placed_at=datetime.fromisoformat(order["created_at"]),
            lines=lines_of(read["lines"], currency),
            address=address_lines(order["address"]),
            parcels=int(read["parcels"]),
            **{
                name: Money(int(order[name]), currency)
                for name in ("subtotal", "discount", "shipping", "tax", "total", "refunded")
            },
        ),
        money=MoneyFacts(Money(max(0, int(read["money"]["taken"])), currency), bool(read["money"]["was_held"])),
        recipient=order["email"],
        is_suppressed=read["is_suppressed"],
        language=language_of((order["language"], settings.get("language"))),
        timezone=_wall_clock(read["timezone"], order["address"], settings.get("timezone")),
        refund=_refund(read["refund"]),
        shipment=_shipment(transaction, shipment_id, currency),
        review=_review(runtime, transaction, order_id, read["review"]) if kind in _OF_REVIEW else None,
    )


def _wall_clock(customer: str | None, address: Mapping[str, Any], shop: str | None) -> str:
    """Return the timezone for the shopper's dates, the same in which the deadline of a review is counted."""
    return zone_of(customer, None, str(address.get("country", "")), address.get("region"), shop).key


def _refund(row: Mapping[str, Any] | None) -> RefundFacts | None:
    return None if row is None else RefundFacts(Money(int(row["amount"]), row["currency"]), row["status"])


def _review(
    runtime: Runtime, transaction: Transaction, order_id: UUID, row: Mapping[str, Any] | None
) -> ReviewFacts | None:
    if row is None:
        return None
    return ReviewFacts(review_url(runtime, transaction, order_id), datetime.fromisoformat(row["deadline"]))


def _shipment(transaction: Transaction, shipment_id: UUID | None, currency: str) -> ShipmentFacts | None:
    """Return the parcel that the mail is about, if any. It has no prices: those belong to the order."""
    if shipment_id is None:
        return None
    row = transaction.row(
        """
        SELECT s.shipment_number, s.status, s.carrier, s.tracking_number, s.tracking_url, s.estimated_delivery_at,
               (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                           'name', i.name, 'option_values', i.option_values, 'quantity', x.quantity)
                           ORDER BY i.position), '[]')
                  FROM (SELECT p.order_item_id, sum(p.quantity) AS quantity FROM fulfillment.shipment_items p
                         WHERE p.organization_id = s.organization_id AND p.shipment_id = s.id
                         GROUP BY p.order_item_id) AS x
                  JOIN orders.order_items i ON i.organization_id = s.organization_id AND i.id = x.order_item_id)
                   AS lines
          FROM fulfillment.shipments s
         WHERE s.organization_id = :organization_id AND s.id = :id
        """,
        organization_id=transaction.tenant,
        id=shipment_id,
    )
    if row is None:
        return None
    return ShipmentFacts(
        number=row.shipment_number,
        status=row.status,
        carrier=row.carrier,
        tracking_number=row.tracking_number,
        tracking_url=row.tracking_url,
        lines=lines_of(row.lines, currency),
        estimated_delivery=row.estimated_delivery_at,
    )
