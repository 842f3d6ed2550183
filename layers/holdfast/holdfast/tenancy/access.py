"""Who may do what, in one table. Shoppers act on what is their own; staff act on the shop's, from a given role upwards.

Staff roles come from the organization's own records and not from the token, so removing a member takes effect at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from holdfast.tenancy.roles import Role, allows
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Forbidden


class Operation(StrEnum):
    """Every operation that a caller with a token can ask for."""

    PLACE_ORDER = "place_order"
    QUOTE_ORDER = "quote_order"
    PAY_ORDER = "pay_order"
    COMPLETE_PAYMENT = "complete_payment"
    LIST_ORDERS = "list_orders"
    FIND_ORDER = "find_order"
    CANCEL_ORDER = "cancel_order"
    CHANGE_SHIPPING_ADDRESS = "change_shipping_address"
    REFUND_ORDER = "refund_order"
    LIST_REFUNDS = "list_refunds"
    LIST_PROCESS_FAILURES = "list_process_failures"
    FIND_PROCESS_FAILURE = "find_process_failure"
    COUNT_PROCESS_FAILURES = "count_process_failures"
    ASSIGN_PROCESS_FAILURE = "assign_process_failure"
    UNASSIGN_PROCESS_FAILURE = "unassign_process_failure"
    RESOLVE_PROCESS_FAILURE = "resolve_process_failure"
    REOPEN_PROCESS_FAILURE = "reopen_process_failure"
    SHOW_ORDER_TIMELINE = "show_order_timeline"
    LIST_MAILS = "list_mails"
    RESEND_MAIL = "resend_mail"
    LIST_MAIL_SUPPRESSIONS = "list_mail_suppressions"
    LIFT_MAIL_SUPPRESSION = "lift_mail_suppression"
    LIST_ADDRESS_REVIEWS = "list_address_reviews"
    FIND_ADDRESS_REVIEW = "find_address_review"
    RESOLVE_ADDRESS_REVIEW = "resolve_address_review"
    CORRECT_ADDRESS_REVIEW = "correct_address_review"
    EXTEND_ADDRESS_REVIEW = "extend_address_review"
    CANCEL_ADDRESS_REVIEW = "cancel_address_review"
    EXPLAIN_ALLOCATION = "explain_allocation"
    SIMULATE_ALLOCATION = "simulate_allocation"
    SHOW_GATEWAYS = "show_gateways"
    LIST_ARCHIVE_BATCHES = "list_archive_batches"
    LIST_ARCHIVE_DISCREPANCIES = "list_archive_discrepancies"
    RECONCILE_ARCHIVE_BATCH = "reconcile_archive_batch"
    PROVE_ARCHIVE = "prove_archive"
    RESTORE_ARCHIVED_ORDER = "restore_archived_order"
    RESTORE_ARCHIVED_MONTH = "restore_archived_month"
    LIST_RESTORED_MONTHS = "list_restored_months"
    LIST_LEGAL_HOLDS = "list_legal_holds"
    PLACE_LEGAL_HOLD = "place_legal_hold"
    RELEASE_LEGAL_HOLD = "release_legal_hold"
    EXPORT_CUSTOMER = "export_customer"
    ERASE_CUSTOMER = "erase_customer"
    LIST_DISPUTES = "list_disputes"
    SHOW_MONEY_REPORT = "show_money_report"
    REFOLD_PAYMENTS = "refold_payments"
    GIVE_UP_PAYMENT = "give_up_payment"
    RETRY_OPERATION = "retry_operation"
    CAPTURE_ORDER = "capture_order"
    LIST_SHIPMENTS = "list_shipments"
    FIND_SHIPMENT = "find_shipment"
    PICK_SHIPMENT = "pick_shipment"
    PACK_SHIPMENT = "pack_shipment"
    SHIP_SHIPMENT = "ship_shipment"
    MOVE_SHIPMENT = "move_shipment"
    DELIVER_SHIPMENT = "deliver_shipment"
    FAIL_SHIPMENT = "fail_shipment"
    CANCEL_SHIPMENT = "cancel_shipment"
    RESHIP_SHIPMENT = "reship_shipment"
    LIST_WAREHOUSES = "list_warehouses"
    CREATE_WAREHOUSE = "create_warehouse"
    CHANGE_WAREHOUSE = "change_warehouse"
    LIST_STOCK_LEVELS = "list_stock_levels"
    LIST_LOW_STOCK = "list_low_stock"
    SHOW_AVAILABILITY = "show_availability"
    LIST_STOCK_MOVEMENTS = "list_stock_movements"
    RECEIVE_STOCK = "receive_stock"
    ADJUST_STOCK = "adjust_stock"
    SET_SAFETY_STOCK = "set_safety_stock"
    COMPENSATE_LEDGER = "compensate_ledger"
    IMPORT_STOCK = "import_stock"
    LIST_STOCK_IMPORTS = "list_stock_imports"
    LIST_DEAD_LETTERS = "list_dead_letters"
    FIND_DEAD_LETTER = "find_dead_letter"
    ASSIGN_DEAD_LETTER = "assign_dead_letter"
    INVESTIGATE_DEAD_LETTER = "investigate_dead_letter"
    MAKE_DEAD_LETTER_READY = "make_dead_letter_ready"
    REPLAY_DEAD_LETTER = "replay_dead_letter"
    DISCARD_DEAD_LETTER = "discard_dead_letter"
    REPLAY_DEAD_LETTERS = "replay_dead_letters"
    READ_DEAD_LETTER_METRICS = "read_dead_letter_metrics"
    LIST_DEAD_LETTER_GROUPS = "list_dead_letter_groups"
    REPLAY_DEAD_LETTER_GROUP = "replay_dead_letter_group"
    FIND_GROUP_REPLAY = "find_group_replay"
    CANCEL_GROUP_REPLAY = "cancel_group_replay"
    LIST_ERROR_CLASSES = "list_error_classes"
    CREATE_ERROR_CLASS = "create_error_class"
    FIND_ERROR_CLASS = "find_error_class"
    CHANGE_ERROR_CLASS = "change_error_class"
    ORDER_ERROR_CLASSES = "order_error_classes"
    DEACTIVATE_ERROR_CLASS = "deactivate_error_class"
    TEST_ERROR_CLASS = "test_error_class"
    SET_AUTO_REPLAY = "set_auto_replay"
    LIST_PAYMENT_METHODS = "list_payment_methods"
    SET_DEFAULT_PAYMENT_METHOD = "set_default_payment_method"
    REMOVE_PAYMENT_METHOD = "remove_payment_method"
    LIST_TRANSFERS = "list_transfers"
    REQUEST_TRANSFER = "request_transfer"
    SHIP_TRANSFER = "ship_transfer"
    RECEIVE_TRANSFER = "receive_transfer"
    CANCEL_TRANSFER = "cancel_transfer"
    LIST_CAPACITY_OVERRIDES = "list_capacity_overrides"
    SET_CAPACITY_OVERRIDE = "set_capacity_override"
    CHANGE_CAPACITY_OVERRIDE = "change_capacity_override"
    REMOVE_CAPACITY_OVERRIDE = "remove_capacity_override"
    SHOW_CAPACITY_LOAD = "show_capacity_load"
    LIST_CAPACITY_ALERTS = "list_capacity_alerts"


@dataclass(frozen=True, slots=True)
class Access:
    """Which shoppers may do something, and the lowest role of staff that may. ``None``: no staff at all."""

    shoppers: frozenset[CallerKind]
    staff: Role | None


_SHOPPERS: Final = frozenset({CallerKind.CUSTOMER, CallerKind.GUEST})
_CUSTOMERS: Final = Access(frozenset({CallerKind.CUSTOMER}), staff=None)
_MANAGERS: Final = Access(frozenset(), staff=Role.MANAGER)
"""What the operations team does: no shoppers, and no staff below manager."""
_ADMINS: Final = Access(frozenset(), staff=Role.ADMIN)
"""What concerns people's data as a whole, and data that the law requires to be kept."""
_VIEWERS: Final = Access(frozenset(), staff=Role.VIEWER)
"""What all staff may look at, but no shopper."""

WHO_MAY: Final[Mapping[Operation, Access]] = {
    Operation.PLACE_ORDER: Access(_SHOPPERS, staff=None),
    Operation.QUOTE_ORDER: Access(_SHOPPERS, staff=Role.VIEWER),
    Operation.PAY_ORDER: Access(_SHOPPERS, staff=None),
    Operation.COMPLETE_PAYMENT: Access(_SHOPPERS, staff=None),
    Operation.LIST_ORDERS: Access(_SHOPPERS, staff=Role.VIEWER),
    Operation.FIND_ORDER: Access(_SHOPPERS, staff=Role.VIEWER),
    Operation.CANCEL_ORDER: Access(_SHOPPERS, staff=Role.MANAGER),
    Operation.CHANGE_SHIPPING_ADDRESS: Access(_SHOPPERS, staff=Role.MANAGER),
    Operation.REFUND_ORDER: _MANAGERS,
    Operation.LIST_REFUNDS: Access(_SHOPPERS, staff=Role.VIEWER),
    Operation.LIST_PROCESS_FAILURES: _MANAGERS,
    Operation.FIND_PROCESS_FAILURE: _MANAGERS,
    Operation.COUNT_PROCESS_FAILURES: _MANAGERS,
    Operation.ASSIGN_PROCESS_FAILURE: _MANAGERS,
    Operation.UNASSIGN_PROCESS_FAILURE: _MANAGERS,
    Operation.RESOLVE_PROCESS_FAILURE: _MANAGERS,
    Operation.REOPEN_PROCESS_FAILURE: _MANAGERS,
    Operation.SHOW_GATEWAYS: _MANAGERS,
    Operation.LIST_ARCHIVE_BATCHES: _MANAGERS,
    Operation.LIST_ARCHIVE_DISCREPANCIES: _MANAGERS,
    Operation.RECONCILE_ARCHIVE_BATCH: _MANAGERS,
    Operation.PROVE_ARCHIVE: _MANAGERS,
    Operation.RESTORE_ARCHIVED_ORDER: _MANAGERS,
    Operation.RESTORE_ARCHIVED_MONTH: _MANAGERS,
    Operation.LIST_RESTORED_MONTHS: _MANAGERS,
    Operation.LIST_LEGAL_HOLDS: _MANAGERS,
    Operation.PLACE_LEGAL_HOLD: _ADMINS,
    Operation.RELEASE_LEGAL_HOLD: _ADMINS,
    Operation.EXPORT_CUSTOMER: _ADMINS,
    Operation.ERASE_CUSTOMER: _ADMINS,
    Operation.SHOW_ORDER_TIMELINE: _MANAGERS,
    Operation.LIST_MAILS: _MANAGERS,
    Operation.RESEND_MAIL: _MANAGERS,
    Operation.LIST_MAIL_SUPPRESSIONS: _MANAGERS,
    Operation.LIFT_MAIL_SUPPRESSION: _MANAGERS,
    Operation.LIST_ADDRESS_REVIEWS: _MANAGERS,
    Operation.FIND_ADDRESS_REVIEW: _MANAGERS,
    Operation.RESOLVE_ADDRESS_REVIEW: _MANAGERS,
    Operation.CORRECT_ADDRESS_REVIEW: _MANAGERS,
    Operation.EXTEND_ADDRESS_REVIEW: _MANAGERS,
    Operation.CANCEL_ADDRESS_REVIEW: _MANAGERS,
    Operation.EXPLAIN_ALLOCATION: _VIEWERS,
    Operation.SIMULATE_ALLOCATION: _MANAGERS,
    Operation.LIST_DISPUTES: _MANAGERS,
    Operation.SHOW_MONEY_REPORT: _MANAGERS,
    Operation.REFOLD_PAYMENTS: _MANAGERS,
    Operation.GIVE_UP_PAYMENT: _MANAGERS,
    Operation.RETRY_OPERATION: _MANAGERS,
    Operation.CAPTURE_ORDER: _MANAGERS,
    Operation.LIST_SHIPMENTS: _VIEWERS,
    Operation.FIND_SHIPMENT: _VIEWERS,
    Operation.PICK_SHIPMENT: _MANAGERS,
    Operation.PACK_SHIPMENT: _MANAGERS,
    Operation.SHIP_SHIPMENT: _MANAGERS,
    Operation.MOVE_SHIPMENT: _MANAGERS,
    Operation.DELIVER_SHIPMENT: _MANAGERS,
    Operation.FAIL_SHIPMENT: _MANAGERS,
    Operation.CANCEL_SHIPMENT: _MANAGERS,
    Operation.RESHIP_SHIPMENT: _MANAGERS,
    Operation.LIST_WAREHOUSES: _VIEWERS,
    Operation.CREATE_WAREHOUSE: _MANAGERS,
    Operation.CHANGE_WAREHOUSE: _MANAGERS,
    Operation.LIST_STOCK_LEVELS: _VIEWERS,
    Operation.LIST_LOW_STOCK: _VIEWERS,
    Operation.SHOW_AVAILABILITY: _VIEWERS,
    Operation.LIST_STOCK_MOVEMENTS: _VIEWERS,
    Operation.RECEIVE_STOCK: _MANAGERS,
    Operation.ADJUST_STOCK: _MANAGERS,
    Operation.SET_SAFETY_STOCK: _MANAGERS,
    Operation.COMPENSATE_LEDGER: _MANAGERS,
    Operation.IMPORT_STOCK: _MANAGERS,
    Operation.LIST_STOCK_IMPORTS: _VIEWERS,
    Operation.LIST_DEAD_LETTERS: _MANAGERS,
    Operation.FIND_DEAD_LETTER: _MANAGERS,
    Operation.ASSIGN_DEAD_LETTER: _MANAGERS,
    Operation.INVESTIGATE_DEAD_LETTER: _MANAGERS,
    Operation.MAKE_DEAD_LETTER_READY: _MANAGERS,
    Operation.REPLAY_DEAD_LETTER: _MANAGERS,
    Operation.DISCARD_DEAD_LETTER: _MANAGERS,
    Operation.REPLAY_DEAD_LETTERS: _MANAGERS,
    Operation.READ_DEAD_LETTER_METRICS: _MANAGERS,
    Operation.LIST_DEAD_LETTER_GROUPS: _MANAGERS,
    Operation.REPLAY_DEAD_LETTER_GROUP: _MANAGERS,
    Operation.FIND_GROUP_REPLAY: _MANAGERS,
    Operation.CANCEL_GROUP_REPLAY: _MANAGERS,
    Operation.LIST_ERROR_CLASSES: _MANAGERS,
    Operation.CREATE_ERROR_CLASS: _MANAGERS,
    Operation.FIND_ERROR_CLASS: _MANAGERS,
    Operation.CHANGE_ERROR_CLASS: _MANAGERS,
    Operation.ORDER_ERROR_CLASSES: _MANAGERS,
    Operation.DEACTIVATE_ERROR_CLASS: _MANAGERS,
    Operation.TEST_ERROR_CLASS: _MANAGERS,
    Operation.SET_AUTO_REPLAY: _MANAGERS,
    Operation.LIST_PAYMENT_METHODS: _CUSTOMERS,
    Operation.SET_DEFAULT_PAYMENT_METHOD: _CUSTOMERS,
    Operation.REMOVE_PAYMENT_METHOD: _CUSTOMERS,
    Operation.LIST_TRANSFERS: _VIEWERS,
    Operation.REQUEST_TRANSFER: _MANAGERS,
    Operation.SHIP_TRANSFER: _MANAGERS,
    Operation.RECEIVE_TRANSFER: _MANAGERS,
    Operation.CANCEL_TRANSFER: _MANAGERS,
    Operation.LIST_CAPACITY_OVERRIDES: _VIEWERS,
    Operation.SET_CAPACITY_OVERRIDE: _MANAGERS,
    Operation.CHANGE_CAPACITY_OVERRIDE: _MANAGERS,
    Operation.REMOVE_CAPACITY_OVERRIDE: _MANAGERS,
    Operation.SHOW_CAPACITY_LOAD: _VIEWERS,
    Operation.LIST_CAPACITY_ALERTS: _VIEWERS,
}


class Reader(Protocol):
    """The part of a transaction that a lookup needs."""

    @property
    def tenant(self) -> UUID:
        """The id of the organization."""
        ...

    def value(self, statement: str, **parameters: object) -> object:
        """Return the first column of the single row."""
        ...


def require(transaction: Reader, caller: Caller, operation: Operation) -> None:
    """Raise Forbidden unless the caller may do this at all. Whether the order is theirs is checked elsewhere."""
    require_kind(caller, operation)
    needed = WHO_MAY[operation].staff
    if caller.kind is CallerKind.STAFF and needed is not None:
        _require_role(transaction, caller, needed)


def require_kind(caller: Caller, operation: Operation) -> None:
    """The part of ``require`` that needs no transaction.

    Raises Forbidden for a kind of caller that may never do this.
    """
    access = WHO_MAY[operation]
    if caller.kind is CallerKind.STAFF:
        if access.staff is None:
            raise Forbidden("this is for shoppers, not for staff")
    elif caller.kind not in access.shoppers:
        raise Forbidden("this is for the shop's staff")


def _require_role(transaction: Reader, caller: Caller, needed: Role) -> None:
    held = transaction.value(
        """
        SELECT m.role FROM tenancy.organization_members m JOIN tenancy.users u ON u.id = m.user_id
         WHERE m.organization_id = :organization_id AND u.auth_subject = :subject
           AND m.status = 'active' AND u.status = 'active'
        """,
        organization_id=transaction.tenant,
        subject=caller.subject,
    )
    if held is None or not allows(Role(str(held)), needed):
        raise Forbidden(f"this needs the role {needed} in the organization")
