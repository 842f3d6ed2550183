"""The words that a column allows are those that the code knows: one StrEnum for every CHECK that lists words."""

import re
from enum import StrEnum

import pytest
from pg8000.native import Connection

from holdfast.addresses.model import (
    AddressReviewStatus,
    AddressReviewStep,
    GeocodeFailureReason,
    GeocodeFallback,
    GeocodeQuality,
)
from holdfast.archive.policy import (
    BatchStatus,
    ColdFileState,
    DiscrepancyKind,
    Location,
    MonthRestoreState,
    ReconciliationType,
    Strategy,
    Tier,
    Verification,
)
from holdfast.flows.operations.process_failures import FailureAction, FailureStatus
from holdfast.fulfillment.lifecycle import TRANSITIONS as SHIPMENT_TRANSITIONS
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.inventory.capacity import AlertType
from holdfast.inventory.reallocation import Cause, Outcome
from holdfast.inventory.stock_file import ImportMode, ImportStatus
from holdfast.inventory.transfers import TransferStatus
from holdfast.inventory.warehouses import WarehouseStatus
from holdfast.notifications.model import Feedback, MailKind, MessageStatus, SuppressionReason
from holdfast.orders.lifecycle import INITIAL, TERMINAL, TRANSITIONS, OrderStatus
from holdfast.orders.model import FulfillmentStatus, OrderPaymentStatus, OrderSource
from holdfast.payments.dead_letters import DeadLetterAction, DeadLetterPriority, DeadLetterStatus
from holdfast.payments.disputes import DisputeStatus
from holdfast.payments.group_replays import GroupReplayState
from holdfast.payments.model import OPEN_STATUSES, EventState, PaymentStatus, RefundReason, RefundStatus, RestockReason
from holdfast.payments.reconciliation import DifferenceKind, DifferenceStatus
from holdfast.tenancy.roles import Role
from holdfast.values.payment_events import DisputeOutcome, EventType
from holdfast.values.shipping import ShipmentStatus, ShippingPreference
from tests.database.acting import SCHEMAS, acting
from tests.database.conftest import TwoShops

MIRRORS: dict[str, type[StrEnum]] = {
    "archive_batches_status": BatchStatus,
    "archive_batches_strategy": Strategy,
    "archive_index_location": Location,
    "archive_index_tier": Tier,
    "archive_index_verification": Verification,
    "cold_files_state": ColdFileState,
    "discrepancies_kind": DiscrepancyKind,
    "reconciliation_log_type": ReconciliationType,
    "money_differences_kind": DifferenceKind,
    "money_differences_status": DifferenceStatus,
    "disputes_outcome": DisputeOutcome,
    "disputes_status": DisputeStatus,
    "capacity_alerts_type": AlertType,
    "dead_letter_history_action": DeadLetterAction,
    "dead_letters_priority": DeadLetterPriority,
    "dead_letters_status": DeadLetterStatus,
    "error_classes_event_type": EventType,
    "group_replays_state": GroupReplayState,
    "geocode_failures_fallback": GeocodeFallback,
    "geocode_failures_reason": GeocodeFailureReason,
    "review_steps_step": AddressReviewStep,
    "reviews_status": AddressReviewStatus,
    "geocode_import_staging_quality": GeocodeQuality,
    "geocode_reference_quality": GeocodeQuality,
    "organization_members_role": Role,
    "messages_feedback": Feedback,
    "messages_kind": MailKind,
    "messages_status": MessageStatus,
    "order_address_versions_geocode_quality": GeocodeQuality,
    "reallocations_cause": Cause,
    "reallocations_outcome": Outcome,
    "orders_status": OrderStatus,
    "orders_payment_status": OrderPaymentStatus,
    "orders_fulfillment_status": FulfillmentStatus,
    "orders_source": OrderSource,
    "orders_shipping_preference": ShippingPreference,
    "month_restores_state": MonthRestoreState,
    "orders_geocode_quality": GeocodeQuality,
    "payments_status": PaymentStatus,
    "payment_events_event_type": EventType,
    "payment_events_state": EventState,
    "process_failure_history_action": FailureAction,
    "process_failures_status": FailureStatus,
    "refund_items_restock_reason": RestockReason,
    "refunds_reason": RefundReason,
    "refunds_status": RefundStatus,
    "shipments_failure_reason": FailureReason,
    "shipments_status": ShipmentStatus,
    "stock_imports_mode": ImportMode,
    "stock_imports_status": ImportStatus,
    "suppressions_reason": SuppressionReason,
    "transfers_status": TransferStatus,
    "warehouses_status": WarehouseStatus,
}

# No code outside the database chooses among these words yet. Code that does needs a StrEnum, and the entry moves up.
ONLY_IN_SQL = {
    "audit_log_action": {"insert", "update", "delete"},
    "customer_addresses_type": {"shipping", "billing", "both"},
    "customers_status": {"active", "suspended", "deleted"},
    "gateway_accounts_gateway": {"stripe", "paypal", "square", "adyen"},
    "gateway_accounts_mode": {"test", "live"},
    "gateway_accounts_status": {"active", "disabled"},
    "geocode_cache_quality": {"rooftop", "range_interpolated", "centroid"},
    "idempotency_keys_state": {"in_progress", "done"},
    "order_address_versions_cause": {"address_change", "address_review"},
    "order_operations_operation": {"return_money", "refund", "capture"},
    "order_operations_state": {"running", "done", "failed"},
    "organization_members_status": {"invited", "active", "removed"},
    "organizations_status": {"active", "suspended"},
    "payment_methods_gateway": {"stripe", "paypal", "square", "adyen"},
    "payments_gateway": {"stripe", "paypal", "square", "adyen"},
    "products_status": {"draft", "active", "archived"},
    "reservations_status": {"active", "completed", "expired", "cancelled", "reallocated"},
    "users_status": {"active", "suspended", "deleted"},
    "variants_status": {"active", "archived"},
}

_LISTS_WORDS = re.compile(r"CHECK \(\(+\w+ = (?:ANY \(ARRAY\[[^\]]*\]\)|'\w+'::text)\)+")
_WORD = re.compile(r"'(\w+)'::text")


def enumerations(connection: Connection) -> dict[str, set[str]]:
    rows = connection.run(
        "SELECT c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE c.contype = 'c' AND c.connamespace::regnamespace::text = ANY (:schemas) AND NOT t.relispartition",
        schemas=list(SCHEMAS),
    )
    return {name: set(_WORD.findall(text)) for name, text in rows if _LISTS_WORDS.fullmatch(text)}


def test_every_enumeration_is_mirrored_or_listed(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        assert set(enumerations(connection)) == set(MIRRORS) | set(ONLY_IN_SQL)


@pytest.mark.parametrize("constraint", sorted(MIRRORS))
def test_the_mirror_shows_every_word_and_no_other(shops: TwoShops, constraint: str) -> None:
    with acting(shops.superuser) as connection:
        assert enumerations(connection)[constraint] == {str(member) for member in MIRRORS[constraint]}


def test_the_words_that_only_sql_knows_are_these(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        found = enumerations(connection)
    assert {name: found[name] for name in ONLY_IN_SQL} == ONLY_IN_SQL


def test_the_table_of_transitions_is_the_one_in_code(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        stored = {(a, b) for a, b in connection.run("SELECT from_status, to_status FROM orders.status_transitions")}
    assert stored == {(str(a), str(b)) for a, following in TRANSITIONS.items() for b in following}


def test_the_table_of_a_shipments_transitions_is_the_one_in_code(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        rows = connection.run("SELECT from_status, to_status FROM fulfillment.shipment_transitions")
    stored = {(a, b) for a, b in rows}
    assert stored == {(str(a), str(b)) for a, following in SHIPMENT_TRANSITIONS.items() for b in following}


def test_an_order_may_begin_where_the_lifecycle_begins(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        [[check]] = connection.run("SELECT with_check FROM pg_policies WHERE policyname = 'begins_at_the_beginning'")
        [[body]] = connection.run("SELECT prosrc FROM pg_proc WHERE proname = 'project_status'")
    initial = {str(status) for status in INITIAL}
    assert set(_WORD.findall(check)) == initial
    listed = re.search(r"to_status NOT IN \(([^)]*)\)", body)
    assert listed is not None
    assert set(re.findall(r"\w+", listed[1])) == initial


def test_an_open_payment_is_the_same_to_the_index_and_to_the_code(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        [[predicate]] = connection.run(
            "SELECT pg_get_expr(indpred, indrelid) FROM pg_index"
            " WHERE indexrelid = 'payments.payments_one_open_attempt'::regclass"
        )
    assert set(_WORD.findall(predicate)) == {str(status) for status in OPEN_STATUSES}


def test_no_final_status_has_a_way_out(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        out = connection.run(
            "SELECT to_status FROM orders.status_transitions WHERE from_status = ANY (:final)",
            final=[str(status) for status in TERMINAL],
        )
    assert out == []


def test_types_of_movements_are_those_that_move_stock_knows(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        [[check]] = connection.run(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'stock_movements_adds_up'"
            " AND conrelid = 'inventory.stock_movements'::regclass"
        )
        [[body]] = connection.run("SELECT prosrc FROM pg_proc WHERE proname = 'move_stock'")
    signs = body[: body.index("BEGIN")]
    assert set(_WORD.findall(check)) == set(re.findall(r"'(\w+)'", signs))


def test_no_column_has_a_type_whose_operators_leak(shops: TwoShops) -> None:
    """The operators of PostgreSQL enums are not leakproof, so row-level security would keep them from using indexes."""
    with acting(shops.superuser) as connection:
        found = connection.run(
            "SELECT typname FROM pg_type WHERE typtype = 'e' AND typnamespace::regnamespace::text = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
        floats = connection.run(
            "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
            " WHERE c.relnamespace::regnamespace::text = ANY (:schemas)"
            " AND atttypid IN ('float4'::regtype, 'money'::regtype)",
            schemas=list(SCHEMAS),
        )
    assert found == []
    assert floats == []
