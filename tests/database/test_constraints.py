"""Every named constraint refuses what it is there to refuse. Where the code errs, the constraint has the last word."""

from typing import Any

import pytest

from tests.database.acting import (
    APP,
    CHECK_VIOLATION,
    SCHEMAS,
    UNIQUE_VIOLATION,
    acting,
    refusal,
)
from tests.database.conftest import TwoShops
from tests.database.test_enumerations import MIRRORS, ONLY_IN_SQL

_ONE_HISTORY_ROW = (
    "INSERT INTO orders.order_status_history"
    " (organization_id, order_id, sequence, from_status, to_status, is_reversal, changed_by, created_at)"
    " SELECT organization_id, id, {}, 'test', now() FROM orders.orders LIMIT 1"
)

_ONE_PLACE = (
    "INSERT INTO addresses.geocode_reference (country, postal_code, latitude, longitude, quality, data_source,"
    " dataset_version, created_at) VALUES ({}, 'centroid', 'test', '1', now())"
)
_ONE_CACHED_PLACE = (
    "INSERT INTO addresses.geocode_cache (organization_id, country, postal_code, address_key, latitude, longitude,"
    " quality, hit_count, last_accessed_at, expires_at, created_at)"
    " SELECT id, 'US', '80202', {}, 'rooftop', {}, now(), now(), now() FROM tenancy.organizations LIMIT 1"
)
_KEY = "repeat('0a', 32)"

# constraint: (table, SET clause for an UPDATE of one row), or a whole statement
REFUSED: dict[str, tuple[str, str] | str] = {
    "archive_batches_counts_not_negative": ("archive.archive_batches", "discrepancies = -1"),
    "archive_batches_purged_was_verified": (
        "archive.archive_batches",
        "status = 'completed', verified_at = NULL, purged_orders = 1",
    ),
    "archive_batches_sealed": ("archive.archive_batches", "root = NULL"),
    "archive_batches_verified": ("archive.archive_batches", "status = 'verified', verified_at = NULL"),
    "archive_index_checksum_is_sha256": ("archive.archive_index", "checksum = 'short'"),
    "archive_index_cold_has_place": ("archive.archive_index", "location = 'cold_storage', cold_path = NULL"),
    "archive_index_version_positive": ("archive.archive_index", "version = 0"),
    "batch_leaves_checksum_is_sha256": ("archive.batch_leaves", "checksum = 'short'"),
    "batch_leaves_version_positive": ("archive.batch_leaves", "version = 0"),
    "chain_heads_position_not_negative": ("archive.chain_heads", "position = -1"),
    "chain_heads_root_is_sha256": ("archive.chain_heads", "root = 'short'"),
    "cold_files_counts_not_negative": ("archive.cold_files", "orders = -1"),
    "cold_files_verified": ("archive.cold_files", "state = 'verified', digest = NULL"),
    "customer_keys_destroyed_is_gone": ("archive.customer_keys", "destroyed_at = now()"),
    "discrepancies_resolved": ("archive.discrepancies", "resolved_at = NULL, resolved_by = 'test'"),
    "legal_holds_released": ("archive.legal_holds", "released_at = now(), released_by = NULL"),
    "month_restores_counts_not_negative": ("archive.month_restores", "orders = -1"),
    "month_restores_finished": ("archive.month_restores", "state = 'failed'"),
    "month_restores_month_begins": ("archive.month_restores", "month = '2021-03-02'"),
    "reconciliation_log_counts_not_negative": ("archive.reconciliation_log", "found = -1"),
    "capacity_overrides_hard_limit_positive": ("inventory.capacity_overrides", "hard_capacity_limit = 0"),
    "capacity_overrides_multiplier_positive": ("inventory.capacity_overrides", "capacity_multiplier = 0"),
    "capacity_overrides_range_ordered": ("inventory.capacity_overrides", "ends_on = starts_on - 1"),
    "dead_letter_history_sequence_positive": ("payments.dead_letter_history", "sequence = 0"),
    "dead_letters_discarded_says_why": (
        "payments.dead_letters",
        "status = 'discarded', resolved_at = now(), resolution_notes = NULL",
    ),
    "dead_letters_no_end_during_a_replay": (
        "payments.dead_letters",
        "status = 'replayed', resolved_at = now(), replay_at = NULL, replay_lease_until = now()",
    ),
    "dead_letters_replays_not_negative": ("payments.dead_letters", "replays = -1"),
    "dead_letters_resolved": ("payments.dead_letters", "status = 'replayed', resolved_at = NULL"),
    "dead_letters_scheduled_has_time": ("payments.dead_letters", "status = 'auto_replay_scheduled', replay_at = NULL"),
    "error_classes_auto_replay_is_earned": (
        "payments.error_classes",
        "auto_replay_enabled = true, successful_replays = 10, failed_replays = 2",
    ),
    "error_classes_counters_not_negative": ("payments.error_classes", "failed_replays = -1"),
    "error_classes_delay_bounded": ("payments.error_classes", "auto_replay_delay_seconds = 86401"),
    "error_classes_match_order_positive": ("payments.error_classes", "match_order = 0"),
    "group_replays_bounded": ("payments.group_replays", "replayed = max_replays + 1"),
    "group_replays_finished": ("payments.group_replays", "state = 'stopped', finished_at = NULL"),
    "group_replays_rate_bounded": ("payments.group_replays", "per_minute = 601"),
    "error_classes_min_confidence_is_percent": ("payments.error_classes", "min_confidence = 100.1"),
    "gateway_accounts_endpoint_key_form": ("tenancy.gateway_accounts", "endpoint_key = 'a/b/c/d'"),
    "idempotency_keys_done_has_answer": ("orders.idempotency_keys", "response_body = NULL"),
    "order_address_versions_lower_total_has_price": ("orders.order_address_versions", "total_after = total - 1"),
    "order_address_versions_total_never_rises": ("orders.order_address_versions", "total_after = total + 1"),
    "order_address_versions_version_positive": ("orders.order_address_versions", "version = 0"),
    "reallocations_applied_goes_somewhere": (
        "orders.reallocations",
        "outcome = 'applied', cause = 'by_hand', new_cost = NULL, saving = NULL",
    ),
    "reallocations_costs_not_negative": ("orders.reallocations", "new_cost = -1, saving = old_cost + 1"),
    "reallocations_move_for_a_saving": (
        "orders.reallocations",
        "outcome = 'applied', cause = 'address_change', old_cost = 400, new_cost = 300, saving = 100",
    ),
    "reallocations_saving_adds_up": ("orders.reallocations", "saving = old_cost - new_cost + 1"),
    "reallocations_sequence_positive": ("orders.reallocations", "sequence = 0"),
    "order_allocations_quantity_positive": ("orders.order_allocations", "quantity = 0"),
    "order_allocations_unshipped_within_restocked": (
        "orders.order_allocations",
        "restocked_unshipped_quantity = restocked_quantity + 1",
    ),
    "order_allocations_restocked_within_quantity": ("orders.order_allocations", "restocked_quantity = quantity + 1"),
    "geocode_cache_address_key_form": _ONE_CACHED_PLACE.format("'12 Analytical Way', 39.7, -105.0", "0"),
    "geocode_cache_hit_count_not_negative": _ONE_CACHED_PLACE.format(f"{_KEY}, 39.7, -105.0", "-1"),
    "geocode_cache_on_the_globe": _ONE_CACHED_PLACE.format(f"{_KEY}, 90.1, -105.0", "0"),
    "reviews_extended_within_bounds": (
        "addresses.reviews",
        "deadline_at = first_deadline_at + interval '337 hours'",
    ),
    "reviews_nonce_form": ("addresses.reviews", "nonce = 'guessed'"),
    "reviews_reminded_before_the_deadline": ("addresses.reviews", "reminder_at = deadline_at + interval '1 second'"),
    "reviews_resolved": ("addresses.reviews", "status = 'corrected'"),
    "review_steps_sequence_positive": ("addresses.review_steps", "sequence = 0"),
    "geocode_reference_country_form": _ONE_PLACE.format("'us', '80202', 39.7, -105.0"),
    "geocode_reference_on_the_globe": _ONE_PLACE.format("'US', '80202', 39.7, -180.1"),
    "geocode_reference_postal_code_form": _ONE_PLACE.format("'US', '80202-1234', 39.7, -105.0"),
    "order_items_amounts_not_negative": ("orders.order_items", "discount = subtotal + 1"),
    "order_items_quantity_positive": ("orders.order_items", "quantity = 0, subtotal = 0"),
    "order_items_refunded_amount_within_paid": (
        "orders.order_items",
        "refunded_amount = subtotal - discount + tax + 1",
    ),
    "order_items_refunded_quantity_within_bought": ("orders.order_items", "refunded_quantity = quantity + 1"),
    "order_items_restocked_quantity_not_negative": ("orders.order_items", "restocked_quantity = -1"),
    "order_items_subtotal_adds_up": ("orders.order_items", "subtotal = subtotal + 1"),
    "order_operations_capture_says_how_much": ("orders.order_operations", "operation = 'capture', amount = NULL"),
    "order_operations_finished": ("orders.order_operations", "state = 'running', finished_at = now()"),
    "order_status_history_first_has_no_origin": _ONE_HISTORY_ROW.format("2, NULL, 'cancelled', false"),
    "order_status_history_reversal_takes_back_a_refund": _ONE_HISTORY_ROW.format("2, 'cancelled', 'confirmed', true"),
    "order_status_history_sequence_positive": _ONE_HISTORY_ROW.format("0, 'confirmed', 'cancelled', false"),
    "orders_amounts_not_negative": ("orders.orders", "tax = -1, total = subtotal + shipping - discount - 1"),
    "orders_currency_form": ("orders.orders", "currency = 'usd'"),
    "orders_refunded_within_total": ("orders.orders", "refunded = total + 1"),
    "orders_total_adds_up": ("orders.orders", "total = total - 1"),
    "organizations_publishable_key_form": ("tenancy.organizations", "publishable_key = 'sk_0123456789abcdef'"),
    "organizations_return_url_form": (
        "tenancy.organizations",
        """settings = '{"storefront_return_url": "http://shop.example"}'""",
    ),
    "organizations_address_review_page_url_form": (
        "tenancy.organizations",
        """settings = '{"address_review_page_url": "https://shop.example/check"}'""",
    ),
    "organizations_slug_form": ("tenancy.organizations", "slug = 'Two Words'"),
    "outbox_topic_is_past_tense_event": ("operations.outbox", "topic = 'order'"),
    "payment_events_attempts_not_negative": ("payments.payment_events", "attempts = -1"),
    "payment_events_untyped_is_ignored": ("payments.payment_events", "event_type = NULL"),
    "payment_methods_forgotten_is_removed": ("tenancy.payment_methods", "forget_at = now(), deleted_at = NULL"),
    "payment_methods_last_four_form": ("tenancy.payment_methods", "last_four = '4242424242424242'"),
    "payments_amount_positive": ("payments.payments", "amount = 0, captured_amount = 0"),
    "payments_attempt_positive": ("payments.payments", "attempt = 0"),
    "payments_captured_within_amount": ("payments.payments", "captured_amount = amount + 1"),
    "payments_captures_within_amount": (
        "payments.payments",
        "captured_amount = amount, capturable_amount = 1",
    ),
    "payments_currency_form": ("payments.payments", "currency = 'U$D'"),
    "payments_refunds_within_captured": (
        "payments.payments",
        "captured_amount = amount, refunded_amount = amount, refunding_amount = 1",
    ),
    "process_failure_history_sequence_positive": ("operations.process_failure_history", "sequence = 0"),
    "process_failures_resolved_has_resolver": ("operations.process_failures", "status = 'open', resolved_at = now()"),
    "refund_items_amount_within_worth": ("payments.refund_items", "amount = worth + 1"),
    "refund_items_only_resellable_goes_back": ("payments.refund_items", "restock = true, restock_reason = 'damaged'"),
    "refund_items_quantity_not_negative": ("payments.refund_items", "quantity = -1"),
    "refund_items_unshipped_within_quantity": ("payments.refund_items", "unshipped_quantity = quantity + 1"),
    "refund_items_say_something": ("payments.refund_items", "quantity = 0, worth = 0, amount = 0"),
    "refunds_amount_positive": ("payments.refunds", "amount = 0"),
    "refunds_shipping_within_amount": ("payments.refunds", "shipping_amount = amount + 1"),
    "disputes_amount_not_negative": ("payments.disputes", "amount = -1"),
    "money_differences_at_risk_not_negative": ("payments.money_differences", "amount_at_risk = -1"),
    "money_differences_resolved": ("payments.money_differences", "status = 'open', resolved_at = now()"),
    "money_report_daily_currency_form": ("payments.money_report_daily", "currency = 'usd'"),
    "disputes_closed": ("payments.disputes", "status = 'closed', closed_at = NULL"),
    "disputes_open_is_undecided": ("payments.disputes", "status = 'opened', closed_at = NULL, lost_amount = 1"),
    "reservations_quantity_positive": ("inventory.reservations", "quantity = 0"),
    "reservations_resolved_once": ("inventory.reservations", "status = 'active', completed_at = now()"),
    "shipment_items_quantity_positive": ("fulfillment.shipment_items", "quantity = 0"),
    "shipments_cancelled_says_when": ("fulfillment.shipments", "cancelled_at = now()"),
    "shipments_cost_not_negative": ("fulfillment.shipments", "cost = -1"),
    "shipments_delivered_says_when": ("fulfillment.shipments", "delivered_at = now(), actual_delivery_at = now()"),
    "shipments_failed_says_why": ("fulfillment.shipments", "failed_at = now(), failure_reason = 'lost'"),
    "shipments_leave_for_money": ("fulfillment.shipments", "captured_when_left = 5"),
    "shipments_left_when_shipped": ("fulfillment.shipments", "shipped_at = now(), captured_when_left = 0"),
    "shipments_only_failed_ones_travel_again": ("fulfillment.shipments", "reshipped_at = now()"),
    "shipments_only_packed_ones_leave": ("fulfillment.shipments", "leaving_since = now(), captured_when_left = 0"),
    "shipments_shipped_by_a_carrier": (
        "fulfillment.shipments",
        "shipped_at = now(), captured_when_left = 0, carrier = NULL",
    ),
    "shipments_told_after_leaving": ("fulfillment.shipments", "notification_sent_at = now()"),
    "stock_levels_incoming_not_negative": ("inventory.stock_levels", "incoming = -1"),
    "stock_levels_on_hand_not_negative": ("inventory.stock_levels", "on_hand = -1, reserved = -1"),
    "stock_levels_reserved_not_negative": ("inventory.stock_levels", "reserved = -1"),
    "stock_levels_reserved_within_on_hand": ("inventory.stock_levels", "reserved = on_hand + 1"),
    "stock_levels_safety_stock_not_negative": ("inventory.stock_levels", "safety_stock = -1"),
    "stock_imports_digest_is_sha_256": ("inventory.stock_imports", "digest = 'abc'"),
    "stock_imports_status_adds_up": ("inventory.stock_imports", "applied_rows = rows - 1"),
    "messages_attempts_not_negative": ("notifications.messages", "attempts = -1"),
    "messages_due_while_open": ("notifications.messages", "status = 'pending', next_attempt_at = NULL"),
    "messages_feedback_has_instant": ("notifications.messages", "feedback = 'bounced', feedback_at = NULL"),
    "messages_of_a_shipment_name_it": ("notifications.messages", "kind = 'shipment_shipped', shipment_id = NULL"),
    "messages_sent_is_proven": (
        "notifications.messages",
        "status = 'sent', next_attempt_at = NULL, sent_at = now(), provider_id = NULL",
    ),
    "organizations_mail_reply_to_form": ("tenancy.organizations", 'settings = \'{"mail_reply_to": "nobody"}\''),
    "orders_language_form": ("orders.orders", "language = 'German'"),
    "suppressions_address_is_lower_case": ("notifications.suppressions", "address = 'Ada@example.com'"),
    "suppressions_lifted_says_by_whom_and_why": ("notifications.suppressions", "lifted_at = now(), lifted_by = NULL"),
    "transfers_between_two_warehouses": ("inventory.transfers", "to_warehouse_id = from_warehouse_id"),
    "transfers_counts_not_negative": (
        "inventory.transfers",
        "received_quantity = -1, written_off_quantity = 1, write_off_reason = 'r'",
    ),
    "transfers_quantity_positive": ("inventory.transfers", "quantity = 0, status = 'pending', shipped_at = NULL"),
    "transfers_status_adds_up": (
        "inventory.transfers",
        "status = 'completed', shipped_at = now(), received_quantity = quantity - 1",
    ),
    "transfers_write_off_says_why": (
        "inventory.transfers",
        "status = 'in_transit', shipped_at = now(), quantity = 9, written_off_quantity = 1, write_off_reason = NULL",
    ),
    "variants_compare_at_price_not_negative": ("catalog.variants", "compare_at_price = -1"),
    "variants_cost_not_negative": ("catalog.variants", "cost = -1"),
    "variants_currency_form": ("catalog.variants", "currency = 'EU'"),
    "variants_price_not_negative": ("catalog.variants", "price = -1"),
    "variants_weight_not_negative": ("catalog.variants", "weight_grams = -1"),
    "warehouses_base_daily_capacity_not_negative": ("inventory.warehouses", "base_daily_capacity = -1"),
    "warehouses_latitude_on_globe": ("inventory.warehouses", "latitude = 90.1"),
    "warehouses_longitude_on_globe": ("inventory.warehouses", "longitude = -180.1"),
    "warehouses_shipping_cost_base_not_negative": ("inventory.warehouses", "shipping_cost_base = -1"),
}
_BY_TYPE = "stock_movements_adds_up"
"""Proved type by type in test_stock_constraints.py."""


def update_of_one_row(table: str, changes: str) -> str:
    return f"UPDATE {table} SET {changes} WHERE ctid = (SELECT ctid FROM {table} LIMIT 1)"


@pytest.mark.parametrize("constraint", sorted(REFUSED))
def test_a_constraint_refuses_its_violation(shops: TwoShops, constraint: str) -> None:
    case = REFUSED[constraint]
    statement = case if isinstance(case, str) else update_of_one_row(*case)
    with acting(shops.superuser) as connection:
        found = refusal(connection, statement)
        assert found is not None
        assert found[0] == CHECK_VIOLATION
        if found[1] != constraint:  # of several violated constraints, PostgreSQL reports the first by name
            connection.run(f"ALTER TABLE {_table_of(connection, found[1])} DROP CONSTRAINT {found[1]}")
            assert refusal(connection, statement) == (CHECK_VIOLATION, constraint)


def _table_of(connection: Any, constraint: str) -> str:
    rows = connection.run(
        "SELECT conrelid::regclass::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE conname = :name AND NOT t.relispartition",
        name=constraint,
    )
    return str(rows[0][0])


def test_no_check_goes_unproved(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            "SELECT DISTINCT conname FROM pg_constraint WHERE contype = 'c'"
            " AND connamespace::regnamespace::text = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in rows} == {*REFUSED, *MIRRORS, *ONLY_IN_SQL, _BY_TYPE}


@pytest.mark.parametrize("constraint", sorted({**MIRRORS, **ONLY_IN_SQL}))
def test_an_enumeration_refuses_any_other_word(shops: TwoShops, constraint: str) -> None:
    with acting(shops.superuser) as connection:
        [[table, column]] = connection.run(
            "SELECT conrelid::regclass::text, attname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
            " JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]"
            " WHERE conname = :name AND NOT t.relispartition",
            name=constraint,
        )
        connection.run("SET LOCAL session_replication_role = replica")  # no triggers that act on the update
        found = refusal(connection, update_of_one_row(table, f"{column} = 'something else'"))
    assert found is not None
    assert found[0] == CHECK_VIOLATION


def test_an_order_has_one_open_attempt_to_pay(shops: TwoShops) -> None:
    copy = (
        "INSERT INTO payments.payments (organization_id, id, order_id, attempt, gateway, gateway_account_id, amount,"
        " currency, idempotency_key, created_at) SELECT organization_id, gen_random_uuid(), order_id, {}, gateway,"
        " gateway_account_id, amount, currency, gen_random_uuid(), created_at FROM payments.payments WHERE id = :id"
    )
    with acting(shops.superuser, APP, shops.a.organization_id) as connection:
        connection.run(copy.format(2), id=shops.a.payment_id)
        second = refusal(connection, copy.format(3), id=shops.a.payment_id)
        assert second == (UNIQUE_VIOLATION, "payments_one_open_attempt")
        connection.run("UPDATE payments.payments SET status = 'failed' WHERE attempt = 2")
        assert refusal(connection, copy.format(3), id=shops.a.payment_id) is None
        assert refusal(connection, copy.format(2), id=shops.a.payment_id) == (
            UNIQUE_VIOLATION,
            "payments_attempt_unique",
        )


def test_the_price_of_an_order_never_rises(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        found = refusal(connection, update_of_one_row("orders.orders", "total = total + 1, shipping = shipping + 1"))
    assert found == (CHECK_VIOLATION, "orders_total_never_rises")


def test_a_price_difference_is_what_was_taken_beyond_the_price(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        connection.run(
            "INSERT INTO payments.refunds (organization_id, id, order_id, payment_id, amount, currency, reason,"
            " is_full_refund, created_by, created_at) SELECT organization_id, gen_random_uuid(), order_id, id, 1,"
            " 'USD', 'price_difference', false, 'test', now() FROM payments.payments WHERE captured_amount > 0 LIMIT 1"
        )
        found = refusal(connection, "SET CONSTRAINTS ALL IMMEDIATE")
    assert found == (CHECK_VIOLATION, "refunds_difference_within_excess")
