"""Named queries about the archive: its index, its batches, and what keeps an order out of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from holdfast.archive.policy import BatchStatus
from holdfast.flows.archive import scan_archive
from holdfast.flows.archive.archived_documents import find_entry
from holdfast.flows.archive.hold_orders import is_held, list_holds
from holdfast.flows.archive.operate_archive import list_discrepancies
from holdfast.flows.archive.request_month import stays
from holdfast.flows.archive.verify_archive import batches_by_status
from holdfast.flows.orders.list_orders import list_orders
from holdfast.orders.lifecycle import OrderStatus
from tests.database.acting import SYSTEM
from tests.database.named_queries.asking import Named, customer, in_tenant, manager, staff, statement


def verified_long_ago(transaction: Any) -> object:
    """Return the orders that have not been verified since an hour after the oldest batch was.

    Whole ranges of pages are read for them.
    """
    tenant = transaction.tenant
    oldest = transaction.value(
        "SELECT b.verified_at FROM archive.archive_batches b WHERE b.organization_id = :o"
        " ORDER BY b.chain_position DESC LIMIT 1",
        o=tenant,
    )
    return transaction.rows(
        "SELECT x.order_id FROM archive.archive_index x WHERE x.organization_id = :o AND x.last_verified_at < :instant",
        o=tenant,
        instant=oldest + timedelta(hours=1),
    )


NAMED: dict[str, Named] = {
    "orders that may be archived, in order": Named(
        statement("SELECT archive.claim_orders(:o, :now, :now, CAST(:none AS uuid), 50)", none=UUID(int=0)),
        SYSTEM,
        20_000,
        in_functions=True,
    ),
    "archived order by id or number": Named(in_tenant(lambda t, _: find_entry(t, "A7"))),
    "archived orders of a customer, newest first": Named(
        lambda r, s: list_orders(r, customer(s), status=None, before=None, limit=50, now=s.now, include_archived=True)
    ),
    "archived orders by status, newest first": Named(
        lambda r, s: list_orders(
            r, staff(s), status=OrderStatus.REFUNDED, before=None, limit=50, now=s.now, include_archived=True
        )
    ),
    "archived orders of a batch": Named(
        statement(
            "SELECT e.order_id FROM (SELECT b.id FROM archive.archive_batches b WHERE b.organization_id = :o"
            " ORDER BY b.chain_position LIMIT 1) AS b, archive.examine(:o, b.id, ARRAY(SELECT l.order_id"
            " FROM archive.batch_leaves l WHERE l.organization_id = :o AND l.batch_id = b.id),"
            " ARRAY(SELECT CAST(NULL AS text) FROM generate_series(1, 10))) AS e"
        ),
        in_functions=True,
    ),
    "archived orders by verification age": Named(in_tenant(lambda t, _: verified_long_ago(t)), rows_max=1_000),
    "archive batches by status, oldest first": Named(
        lambda r, s: batches_by_status(r, s.organization_id, BatchStatus.COMPLETED, s.now, "system:test"), SYSTEM
    ),
    "the last full scan of the archive": Named(lambda r, s: scan_archive._round(r, s.organization_id, s.now), SYSTEM),
    "discrepancies that stand open": Named(
        lambda r, s: list_discrepancies(r, manager(s), only_open=True, before=None, limit=50, now=s.now)
    ),
    "discrepancies of a batch": Named(
        statement(
            "SELECT d.id FROM archive.discrepancies d WHERE d.organization_id = :o AND d.batch_id = ("
            "SELECT b.id FROM archive.archive_batches b WHERE b.organization_id = :o ORDER BY b.chain_position LIMIT 1)"
        )
    ),
    "the holds on an order": Named(
        statement(
            "SELECT h.id FROM archive.legal_holds h WHERE h.organization_id = :o AND h.order_id = :order"
            " AND h.released_at IS NULL"
        )
    ),
    "the holds on a customer's orders": Named(in_tenant(lambda t, s: is_held(t, s.customer_id))),
    "legal holds that stand, newest first": Named(
        lambda r, s: list_holds(r, manager(s), only_open=True, before=None, limit=50, now=s.now)
    ),
    "how long a month stays that was brought back": Named(
        in_tenant(lambda t, s: stays(t, s.now.date().replace(day=1))), SYSTEM
    ),
    "the archived order of a gateway's transaction": Named(
        statement(
            "SELECT r.order_id FROM archive.payment_references r WHERE r.organization_id = :o"
            " AND r.gateway_account_id = :account AND r.gateway_transaction_id = 'pi_filed_7'"
        )
    ),
}
