"""Named queries about addresses: geocoding and reviews."""

import hashlib
from typing import Any
from uuid import UUID

from holdfast.addresses.cache_policy import use_document
from holdfast.addresses.model import AddressReviewStatus
from holdfast.flows.addresses.read_reviews import list_reviews
from holdfast.flows.addresses.watch_reviews import _remind, watch_reviews
from holdfast.runtime import Runtime
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import Ask, Named, in_tenant, manager, place, statement


def listed_reviews(status: AddressReviewStatus | None) -> Ask:
    """Return a query for a page from the middle of the queue."""

    def ask(runtime: Runtime, shop: Shop) -> object:
        how: dict[str, Any] = {"status": status, "due_before": None, "now": shop.now}
        page = list_reviews(runtime, manager(shop), **how, after=None, limit=5)
        last = UUID(page["address_reviews"][-1]["id"])
        return list_reviews(runtime, manager(shop), **how, after=last, limit=20)

    return ask


def note_place(transaction: Any, shop: Shop) -> object:
    note = {
        "country": "CA",
        "postal_code": "K1A8",
        "key": hashlib.sha256(b"8").hexdigest(),
        "found": {"latitude": 45, "longitude": -75, "quality": "rooftop", "expires_at": shop.now.isoformat()},
        "used": use_document(shop.now),
    }
    sql = "SELECT addresses.note_place(:o, :order, :now, CAST(:note AS jsonb))"
    return transaction.value(sql, o=shop.organization_id, order=shop.order_id, now=shop.now, note=note)


NAMED: dict[str, Named] = {
    "an order whose address nobody found": Named(place(1, postal_code="99999"), in_functions=True),
    "a cached place that is used, and found again": Named(in_tenant(note_place), in_functions=True),
    "cache by postal code": Named(
        statement(
            "SELECT address_key FROM addresses.geocode_cache WHERE organization_id = :o AND country = 'CA'"
            " AND postal_code = 'K1A8'"
        )
    ),
    "reference by postal code": Named(
        statement("SELECT latitude FROM addresses.geocode_reference WHERE country = 'US' AND postal_code = '00008'")
    ),
    "staged rows of an import": Named(
        statement("SELECT line FROM addresses.geocode_import_staging WHERE import_id = :none", none=UUID(int=1)),
        SYSTEM,
    ),
    "reallocations of an order": Named(
        statement(
            "SELECT sequence FROM orders.reallocations WHERE organization_id = :o AND order_id = :order"
            " ORDER BY sequence"
        )
    ),
    "earlier addresses of an order": Named(
        statement(
            "SELECT version FROM orders.order_address_versions WHERE organization_id = :o AND order_id = :order"
            " ORDER BY version"
        )
    ),
    "geocode failures of an order, newest first": Named(
        statement(
            "SELECT id FROM addresses.geocode_failures WHERE organization_id = :o AND order_id = :order"
            " ORDER BY id DESC"
        )
    ),
    "reviews of an order": Named(
        statement("SELECT id FROM addresses.reviews WHERE organization_id = :o AND order_id = :order")
    ),
    "open reviews by deadline": Named(listed_reviews(None)),
    "reviews by status and deadline": Named(listed_reviews(AddressReviewStatus.CORRECTED)),
    "reviews past their deadline, and reminders that are due, over all tenants": Named(
        lambda r, s: watch_reviews(r, lambda: s.now, lambda: 0.0), SYSTEM, 1_100
    ),
    "reminders of an organization": Named(in_tenant(lambda t, _: _remind(t)), SYSTEM, 5_000),
    "steps of a review": Named(
        statement(
            "SELECT step FROM addresses.review_steps WHERE organization_id = :o AND review_id = :order"
            " ORDER BY sequence"
        )
    ),
}
