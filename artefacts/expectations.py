"""What every sample event is answered with, and what it is based on: one line per sample, functions by folder.

A line has the sample, what its answer must be, and the ids that replace those in the sample. The ids that a sample is
based on or keeps also apply to the later samples of its function. HTTP answers have a status, and are also checked
against the OpenAPI document; of an answer, the named members are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from artefacts.shop import SKU, STAFF, Ids, Shop, sample_id

WAREHOUSE, VARIANT, ELSEWHERE = (sample_id(end) for end in ("a1", "a2", "a3"))
ORDER, PAYMENT, SHIPMENT = (sample_id(end) for end in ("d1", "f1", "c1"))
OVERRIDE = REVIEW = SHIPMENT
TRANSFER = CUSTOMER = BATCH = sample_id("b1")
HOLD: Final = sample_id("b2")
METHOD = PAYMENT
FAILURE, ERROR_CLASS = sample_id("e1"), sample_id("e3")
MAIL, SUPPRESSION, OPERATION = sample_id("f1001"), sample_id("f2001"), sample_id("d3001")
LINK: Final = (
    "AQGTAAAAAABwAIAAAAAAAAAAAZMAAAAAcACAAAAAAAAAwQAGR9AAAAAAAAECAwQFBgcICQoLDA0ODw."
    "c2FtcGxlLXNpZ25hdHVyZS1vZi1hLWxpbmstaW4tYS1tYWls"
)
NUMBER: Final = "HF-00ZZ-0000-0000-0000"


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of `events/<function>/<case>.json`."""

    case: str
    status: int | None = None
    says: Mapping[str, Any] = field(default_factory=dict)
    """Members of the answer (of the body, for HTTP) by their paths."""
    ids: Callable[[Shop], Ids] | None = None
    """Creates what the sample is based on, before any function starts. It serves the function's later samples too."""
    keeps: Mapping[str, str] = field(default_factory=dict)
    """What later samples need of this answer: the id that is to be replaced, and the path of its replacement."""


def one(stands: str, make: Callable[[Shop], str]) -> Callable[[Shop], Ids]:
    """Create one row, whose id replaces ``stands``."""
    return lambda shop: {stands: make(shop)}


def shipped(*steps: str) -> Callable[[Shop], Ids]:
    """Create a shipment and take it through these steps."""
    return lambda shop: {SHIPMENT: shop.shipment(None, *steps)}


def order(shop: Shop) -> Ids:
    """Create an order of the samples' shopper."""
    return {ORDER: shop.order_id()}


def failing(item: str) -> dict[str, Any]:
    """Return the answer to a batch of which one message must come again."""
    return {"batchItemFailures": [{"itemIdentifier": item}]}


DONE: Final[dict[str, Any]] = {"batchItemFailures": []}
NO_DEAD_LETTER: Final = {"detail": "there is no such dead letter"}
NO_GROUP_REPLAY: Final = {"detail": "there is no such group replay"}

SAMPLES: Final[dict[str, tuple[Sample, ...]]] = {
    "checkout": (
        Sample("quote", 200, {"allocation.assignments.0.quantity": 2}),
        Sample("place_order", 201, {"order.status": "confirmed", "payment.status": "captured"}),
        Sample("place_order_as_guest", 201, {"order.customer_id": "01930000-0000-7000-8000-0000000000f1"}),
        Sample(
            "complete_payment",
            200,
            {"order.status": "confirmed"},
            ids=lambda shop: dict(zip((ORDER, PAYMENT), shop.order_and_payment(), strict=True)),
        ),
        Sample("place_order_declined", 402, {"code": "payment_declined"}, keeps={ORDER: "order.id"}),
        Sample("pay_again", 201, {"order.status": "confirmed"}),
        Sample("place_order_with_unknown_field", 422, {"errors.0.field": "discount_minor"}),
        Sample("place_order_without_idempotency_key", 400, {"code": "malformed_request"}),
    ),
    "orders": (
        Sample("list", 200, {"orders.0.currency": "USD"}, ids=order),
        Sample("find_by_id", 200, {"order.status": "confirmed"}),
        Sample("find_by_id_as_staff", 200, {"order.status": "confirmed"}),
        Sample("cancel", 200, {"order.status": "cancelled"}),
        Sample("capture", 200, {"order.payments.0.captured_minor": 1200}, ids=one(ORDER, Shop.order_held)),
    ),
    "payment_webhooks": (
        Sample("stripe_payment_intent_succeeded", 200, {"received": True}),
        Sample("stripe_payment_intent_payment_failed", 200, {"received": True}),
        Sample("stripe_without_signature", 401, {"code": "signature_invalid"}),
    ),
    "payment_events": (
        Sample("one_event", says=DONE),
        Sample("batch_of_three", says=DONE),
        Sample("one_message_is_not_json", says=failing("0f6f1d6e-6f2c-4b0e-9a55-3d1c5a7b9e02")),
    ),
    "payment_watchdog": (Sample("tick", says={"payments_checked": 0, "returns_resumed": 0}),),
    "payment_methods": (
        Sample("list", 200, {"payment_methods.0.last_four": "4242"}, ids=one(METHOD, Shop.payment_method)),
        Sample("make_default", 200, {"payment_method.is_default": True}),
        Sample("remove", 200, {"payment_method.last_four": "4242"}),
    ),
    "refunds": (
        Sample("refund_by_amount", 201, {"refunds.0.amount_minor": 500}, ids=order),
        Sample("refund_in_full", 201, {"order.status": "cancelled"}),
        Sample("list", 200, {"refunds.1.status": "succeeded"}),
    ),
    "reservation_expiry": (Sample("tick", says={"finished": True}),),
    "outbox_relay": (Sample("bell", says=DONE), Sample("tick", says=DONE)),
    "notifications": (
        Sample("order_confirmed", says=DONE, ids=order),
        Sample("one_message_is_not_json", says=failing("0f6f1d6e-6f2c-4b0e-9a55-3d1c5a7ba002")),
        Sample("tick"),
    ),
    "mail_feedback": (
        Sample("bounce", says=DONE),
        Sample("complaint", says=DONE),
        Sample("topic_validated", says=DONE),
    ),
    "mails": (
        Sample("list", 200, {"mails.0.status": "sent"}, ids=one(MAIL, Shop.mail)),
        Sample("resend", 201, {"mail.resends": 1}),
        Sample(
            "suppressions",
            200,
            {"suppressions.0.address": "gone@shopper.example"},
            ids=one(SUPPRESSION, Shop.suppression),
        ),
        Sample("lift", 201, {"suppression.lifted_by": f"staff:{STAFF}"}),
    ),
    "shipments": (
        Sample("list", 200, {"shipments.0.status": "pending"}, ids=shipped()),
        Sample("find", 200, {"shipment.status": "pending"}),
        Sample("pick", 200, {"shipment.status": "picked"}),
        Sample("pack", 200, {"shipment.status": "packed"}),
        Sample("cancel", 200, {"shipment.status": "cancelled"}, ids=shipped()),
    ),
    "shipping": (Sample("ship", 200, {"shipment.status": "shipped"}, ids=shipped("pick", "pack")),),
    "deliveries": (
        Sample("in_transit", 200, {"shipment.status": "in_transit"}, ids=shipped("pick", "pack", "ship")),
        Sample("deliver", 200, {"shipment.status": "delivered"}),
        Sample("fail", 200, {"shipment.failure_reason": "lost"}, ids=shipped("pick", "pack", "ship")),
        Sample("reship", 201, {"shipment.status": "pending"}),
    ),
    "shipping_addresses": (Sample("change", 200, {"order.shipping_address.city": "Portland"}, ids=order),),
    "address_reviews": (
        Sample("show", 200, {"address_review.address.city": "Atlantis"}, ids=one(LINK, Shop.review_link)),
        Sample("correct", 200, {"address_review.status": "corrected"}),
        Sample("confirm", 200, {"address_review.status": "resolved"}, ids=one(LINK, Shop.review_link)),
    ),
    "address_review_queue": (
        Sample("list", 200, {"address_reviews.0.reason": "not_found"}, ids=one(REVIEW, Shop.address_review)),
        Sample("find", 200, {"address_review.version": 1}),
        # The sample's deadline lies beyond what any review may be extended to.
        Sample("extend", 409, {"code": "conflict"}),
        Sample("resolve", 201, {"address_review.status": "resolved"}),
        Sample("correct", 201, {"address_review.status": "corrected"}, ids=one(REVIEW, Shop.address_review)),
        Sample("cancel", 201, {"address_review.status": "cancelled"}, ids=one(REVIEW, Shop.address_review)),
    ),
    "address_review_watch": (Sample("tick", says={"cancelled": 0, "failed": 0}),),
    "warehouses": (
        Sample("open", 201, {"warehouse.code": "NWK"}, keeps={WAREHOUSE: "warehouse.id"}),
        Sample("list", 200, {"warehouses.0.code": "EWR"}),
        Sample("change", 200, {"warehouse.status": "maintenance", "warehouse.version": 2}),
    ),
    "stock": (
        Sample("receive", 201, {"change.levels.0.sku": SKU}, ids=Shop.warehouses),
        Sample("adjust", 201, {"change.levels.0.sku": SKU}),
        Sample("damage", 201, {"change.levels.0.sku": SKU}),
        Sample("safety_stock", 200, {"level.safety_stock": 20}),
        Sample("compensate", 409, {"detail": "the level and its ledger agree"}),
    ),
    "stock_reports": (
        Sample("availability", 200, {"variants.0.sku": SKU}, ids=Shop.warehouses),
        Sample("levels", 200, {"levels.0.warehouse": "EWR"}),
        Sample("low", 200, {"levels.0.sku": "LAMP-SOLD-OUT"}),
        Sample("movements", 200),
    ),
    "stock_imports": (
        Sample("dry_run", 200, {"import.status": "checked", "import.rows": 2}),
        Sample("import_file", 201, {"import.status": "applied"}),
        Sample("list", 200, {"imports.0.status": "applied"}),
    ),
    "transfers": (
        Sample("ask", 201, {"transfer.quantity": 6}, ids=Shop.warehouses, keeps={TRANSFER: "transfer.id"}),
        Sample("ship", 201, {"transfer.status": "in_transit"}),
        Sample("list", 200, {"transfers.0.status": "in_transit"}),
        Sample("receive", 201, {"transfer.received_quantity": 4, "transfer.written_off_quantity": 1}),
        Sample("cancel", 201, {"transfer.status": "cancelled", "transfer.returned_quantity": 1}),
    ),
    "capacity": (
        Sample("set", 201, {"override.version": 1}, ids=Shop.warehouses, keeps={OVERRIDE: "override.id"}),
        Sample("change", 200, {"override.ends_on": "2030-12-03"}),
        Sample("list", 200, {"overrides.0.version": 2}),
        Sample("remove", 200),
    ),
    "capacity_reports": (Sample("load", 200, {"days.0.warehouse": "EWR"}), Sample("alerts", 200, {"alerts": []})),
    "capacity_watch": (Sample("tick", says={"raise": 0, "resolve": 0}),),
    "ledger_check": (Sample("tick", says={"differences": 0}),),
    "allocation": (
        Sample("explain", 200, {"destination.latitude": 39.7491}, ids=order),
        Sample("simulate", 200, {"orders": 0}),
    ),
    "money": (
        Sample("money_report", 200, {"differences": []}),
        Sample("disputes", 200, {"disputes": []}),
        Sample("gateways", 200, {"gateways.0.status": "active"}),
        Sample("refold", 200, {"differences": []}),
        Sample("give_up_payment", 404, {"detail": "there is no such payment"}),
        Sample("retry_operation", 201, {"operation.state": "running"}, ids=one(OPERATION, Shop.operation_given_up)),
    ),
    "money_watchdog": (Sample("tick", says={"organizations": 1, "differences": 0}),),
    "order_timeline": (Sample("show", 200, {"entries.0.kind": "payment"}, ids=order),),
    "process_failures": (
        Sample("list", 200, {"process_failures.0.status": "open"}, ids=one(FAILURE, Shop.process_failure)),
        Sample("counts", 200, {"processes.0.process_name": "LatePayment"}),
        Sample("find", 200, {"process_failure.status": "open"}),
        Sample("assign", 200, {"process_failure.version": 2}),
        Sample("unassign", 200, {"process_failure.assigned_to": None}),
        Sample("resolve", 200, {"process_failure.status": "resolved"}, ids=one(FAILURE, Shop.process_failure)),
        Sample("reopen", 200, {"process_failure.status": "open"}, ids=one(FAILURE, Shop.process_failure_resolved)),
    ),
    # The demo shop has no dead letters, so every request about one is refused.
    "dead_letters": (
        Sample("list", 200, {"dead_letters": []}),
        Sample("groups", 200, {"groups": []}),
        Sample("metrics", 200, {"days": []}),
        Sample("replay_several", 200, {"results.0.code": "not_found"}),
        *(
            Sample(case, 404, NO_DEAD_LETTER)
            for case in ("find", "assign", "investigate", "ready", "replay", "discard")
        ),
        Sample("replay_group", 404, {"detail": "nothing of this group can be replayed"}),
        Sample("find_group_replay", 404, NO_GROUP_REPLAY),
        Sample("cancel_group_replay", 404, NO_GROUP_REPLAY),
    ),
    "dead_letter_queues": (Sample("three_given_up", says=DONE),),
    "dlq_retries": (Sample("tick", says={"failed": 0, "alerted": 0}),),
    "error_classes": (
        Sample("test", 200, {"looked_at": 0}),
        Sample("create", 201, {"error_class.version": 1}, keeps={ERROR_CLASS: "error_class.id"}),
        Sample("list", 200, {"error_classes.0.gateway_pattern": "stripe"}),
        Sample("find", 200, {"error_class.version": 1}),
        Sample("order", 200, {"error_classes.0.gateway_pattern": "stripe"}),
        Sample("change", 200, {"error_class.version": 2}),
        # A class that has healed nothing yet may not replay automatically, and the samples are about its first version.
        Sample("auto_replay", 409),
        Sample("deactivate", 409),
    ),
    "archival": (Sample("tick", says={"finished": True, "blocked_batches": 0}),),
    "archive_verification": (
        Sample("post_archive", says={"found": 0, "finished": True, "batches": 1}),
        Sample("spot_check", says={"found": 0, "finished": True}),
        Sample("chain", says={"found": 0, "finished": True}),
        Sample("full_scan", says={"found": 0, "finished": True}),
    ),
    "archive_operations": (
        Sample("list_batches", 200, {"batches.0.status": "verified"}, keeps={BATCH: "batches.0.id"}),
        Sample("reconcile", 200, {"batch.status": "verified"}),
        Sample("prove", 200, {"proof.finished": True}),
        Sample("list_discrepancies", 200, {"discrepancies": []}),
        Sample("restore", 200, {"was_in": "archived", "restored": True}, ids=one(NUMBER, Shop.archivable)),
        Sample("place_hold", 201, {"hold.released_at": None}, keeps={HOLD: "hold.id"}),
        Sample("list_holds", 200, {"holds.0.released_at": None}),
        Sample("release_hold", 200, {"hold.released_by": f"staff:{STAFF}"}),
        # The demo shop is not old enough for that.
        Sample("restore_month", 404, {"detail": "nothing of this month lies in cold storage"}),
        Sample("list_restored_months", 200, {"restores": []}),
    ),
    "cold_export": (
        Sample("tick", says={"broken": [], "finished": True}),
        Sample("restore_months", says={"months": 0, "finished": True}),
    ),
    "customer_data": (
        Sample("export", 200, {"customer.status": "active"}, ids=one(CUSTOMER, Shop.customer)),
        Sample("erase", 200, {"erasure.active_orders": 1}),
    ),
    "guest_sessions": (Sample("start", 201),),
    "api_docs": (
        Sample("health", 200, {"status": "ok"}),
        Sample("openapi_document", 200, {"openapi": "3.1.0"}),
    ),
    "housekeeping": (Sample("tick", says={"months_dropped": 0}),),
    "geocode_imports": (
        Sample("shipped", says={"outcome": "already_there"}),
        Sample("file", says={"outcome": "imported", "rows": 3, "added": 2, "bad": 1}),
    ),
    "migrate": (
        Sample("upgrade", says={"upgraded_to": "head"}),
        Sample("open_shop", says={"outcome": "opened", "rows.stock.levels_made": 2}),
    ),
}

LANE: Final = ("archival", "archive_verification", "archive_operations", "cold_export", "migrate")
"""Functions that depend on what the one before them did, and the one that opens a shop that others would see."""
