"""Which operation every route is, and so who may call it (``tenancy.access``). What has none is public."""

from collections.abc import Mapping
from typing import Final

from holdfast.tenancy.access import Operation

PUBLIC: Final = None
"""No token is asked for: the route has another proof (a signature, a publishable key), or tells no secret."""

OPERATION_OF_ROUTE: Final[Mapping[str, Operation | None]] = {
    "POST /v1/checkout": Operation.PLACE_ORDER,
    "POST /v1/checkout/quote": Operation.QUOTE_ORDER,
    "POST /v1/orders/{order_id}/payments": Operation.PAY_ORDER,
    "POST /v1/orders/{order_id}/payments/{payment_id}/complete": Operation.COMPLETE_PAYMENT,
    "GET /v1/orders": Operation.LIST_ORDERS,
    "GET /v1/orders/{reference}": Operation.FIND_ORDER,
    "POST /v1/orders/{order_id}/cancel": Operation.CANCEL_ORDER,
    "POST /v1/orders/{order_id}/refunds": Operation.REFUND_ORDER,
    "GET /v1/orders/{reference}/refunds": Operation.LIST_REFUNDS,
    "GET /v1/ops/process-failures": Operation.LIST_PROCESS_FAILURES,
    "GET /v1/ops/process-failures/{failure_id}": Operation.FIND_PROCESS_FAILURE,
    "POST /v1/ops/process-failures/{failure_id}/assign": Operation.ASSIGN_PROCESS_FAILURE,
    "POST /v1/ops/process-failures/{failure_id}/resolve": Operation.RESOLVE_PROCESS_FAILURE,
    "GET /v1/ops/orders/{reference}/timeline": Operation.SHOW_ORDER_TIMELINE,
    "POST /v1/orders/{order_id}/capture": Operation.CAPTURE_ORDER,
    "GET /v1/ops/warehouses": Operation.LIST_WAREHOUSES,
    "POST /v1/ops/warehouses": Operation.CREATE_WAREHOUSE,
    "POST /v1/ops/warehouses/{warehouse_id}": Operation.CHANGE_WAREHOUSE,
    "GET /v1/ops/warehouses/{warehouse_id}/stock": Operation.LIST_STOCK_LEVELS,
    "GET /v1/ops/warehouses/{warehouse_id}/low-stock": Operation.LIST_LOW_STOCK,
    "GET /v1/ops/stock/availability": Operation.SHOW_AVAILABILITY,
    "GET /v1/ops/warehouses/{warehouse_id}/stock/{variant_id}/movements": Operation.LIST_STOCK_MOVEMENTS,
    "POST /v1/ops/stock/receipts": Operation.RECEIVE_STOCK,
    "POST /v1/ops/stock/adjustments": Operation.ADJUST_STOCK,
    "POST /v1/ops/stock/safety-stock": Operation.SET_SAFETY_STOCK,
    "GET /v1/ops/dead-letters": Operation.LIST_DEAD_LETTERS,
    "POST /v1/ops/dead-letters/replay": Operation.REPLAY_DEAD_LETTERS,
    "GET /v1/ops/dead-letters/{dead_letter_id}": Operation.FIND_DEAD_LETTER,
    "POST /v1/ops/dead-letters/{dead_letter_id}/assign": Operation.ASSIGN_DEAD_LETTER,
    "POST /v1/ops/dead-letters/{dead_letter_id}/investigate": Operation.INVESTIGATE_DEAD_LETTER,
    "POST /v1/ops/dead-letters/{dead_letter_id}/ready": Operation.MAKE_DEAD_LETTER_READY,
    "POST /v1/ops/dead-letters/{dead_letter_id}/replay": Operation.REPLAY_DEAD_LETTER,
    "POST /v1/ops/dead-letters/{dead_letter_id}/discard": Operation.DISCARD_DEAD_LETTER,
    "GET /v1/ops/dead-letter-metrics": Operation.READ_DEAD_LETTER_METRICS,
    "GET /v1/ops/dead-letter-groups": Operation.LIST_DEAD_LETTER_GROUPS,
    "POST /v1/ops/dead-letter-groups/{fingerprint}/replay": Operation.REPLAY_DEAD_LETTER_GROUP,
    "GET /v1/ops/group-replays/{group_replay_id}": Operation.FIND_GROUP_REPLAY,
    "POST /v1/ops/group-replays/{group_replay_id}/cancel": Operation.CANCEL_GROUP_REPLAY,
    "GET /v1/ops/error-classes": Operation.LIST_ERROR_CLASSES,
    "POST /v1/ops/error-classes": Operation.CREATE_ERROR_CLASS,
    "PUT /v1/ops/error-classes/order": Operation.ORDER_ERROR_CLASSES,
    "POST /v1/ops/error-classes/test": Operation.TEST_ERROR_CLASS,
    "GET /v1/ops/error-classes/{error_class_id}": Operation.FIND_ERROR_CLASS,
    "PUT /v1/ops/error-classes/{error_class_id}": Operation.CHANGE_ERROR_CLASS,
    "POST /v1/ops/error-classes/{error_class_id}/deactivate": Operation.DEACTIVATE_ERROR_CLASS,
    "POST /v1/ops/error-classes/{error_class_id}/auto-replay": Operation.SET_AUTO_REPLAY,
    "POST /v1/guest-sessions": PUBLIC,
    "POST /v1/webhooks/{gateway}": PUBLIC,
    "POST /v1/webhooks/{gateway}/{endpoint_key}": PUBLIC,
    "GET /v1/openapi.json": PUBLIC,
    "GET /v1/health": PUBLIC,
}
