"""Named queries about customers and the catalog."""

from holdfast.flows.checkout.payment_methods import forget_methods
from tests.database.acting import SYSTEM
from tests.database.named_queries.asking import Named, statement

NAMED: dict[str, Named] = {
    "addresses of a customer": Named(
        statement("SELECT id FROM tenancy.customer_addresses WHERE organization_id = :o AND customer_id = :customer")
    ),
    "saved cards of a customer": Named(
        statement("SELECT id FROM tenancy.payment_methods WHERE organization_id = :o AND customer_id = :customer")
    ),
    "saved cards that gateways are to forget": Named(
        lambda r, s: forget_methods(r, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "product by slug": Named(
        statement(
            "SELECT id FROM catalog.products WHERE organization_id = :o AND slug = 'product-77' AND deleted_at IS NULL"
        )
    ),
    "products by category and status": Named(
        statement(
            "SELECT id FROM catalog.products WHERE organization_id = :o AND category = 'category-7'"
            " AND status = 'active' AND deleted_at IS NULL LIMIT 50"
        )
    ),
    "variants of a product": Named(
        statement("SELECT id FROM catalog.variants WHERE organization_id = :o AND product_id = :variant")
    ),
    "overrides covering a date": Named(
        statement(
            "SELECT id FROM inventory.capacity_overrides WHERE organization_id = :o AND warehouse_id = :warehouse"
            " AND ends_on >= current_date AND starts_on <= current_date ORDER BY ends_on LIMIT 1"
        )
    ),
}
