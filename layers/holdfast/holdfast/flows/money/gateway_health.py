"""The health of an organization's payment gateways: calls of the last hour, webhooks, and what waits for them.

The recorded calls are those that were answered, and charges that were not. A refund, void or capture that fails and is
retried shows in its operation instead (``failing_operations``). Signatures that do not verify leave nothing in the
database on purpose: the metric ``WebhookSignatureInvalid`` counts them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from holdfast.database.transaction import Transaction, plain, records
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller

WINDOW_SECONDS: Final = 3600
CALLS_MAX: Final = 5_000
"""In a busier hour only the newest calls are counted."""
UNDECIDED_AFTER_SECONDS: Final = 300
"""How long a payment may be open, in seconds, before its outcome counts as unknown."""


def gateway_health(runtime: Runtime, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return every gateway account with its figures. Raises Forbidden."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.SHOW_GATEWAYS)
        calls, accounts = _calls(transaction), _accounts(transaction)
    by_gateway = {row["gateway"]: _figures(plain(row)) for row in calls}
    shown = [plain(row) | {"calls": by_gateway.get(row["gateway"], _NONE)} for row in accounts]
    return {"gateways": shown, "window_seconds": WINDOW_SECONDS}


def _calls(transaction: Transaction) -> list[Mapping[str, Any]]:
    """Return the newest calls of the window, aggregated by gateway."""
    return records(
        transaction.rows(
            """
            SELECT c.target AS gateway, count(*) AS calls,
                   count(*) FILTER (WHERE c.status IS NULL) AS unanswered,
                   count(*) FILTER (WHERE c.status >= 400) AS refused,
                   percentile_disc(0.5) WITHIN GROUP (ORDER BY c.duration_ms) AS p50_ms,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY c.duration_ms) AS p95_ms,
                   max(c.created_at) AS last_at
              FROM (SELECT target, status, duration_ms, created_at FROM operations.api_calls
                     WHERE organization_id = :organization_id AND id >= tenancy.uuid_v7_floor(:since)
                     ORDER BY id DESC LIMIT :calls_max) AS c
             GROUP BY c.target
            """,
            organization_id=transaction.tenant,
            since=transaction.now - timedelta(seconds=WINDOW_SECONDS),
            calls_max=CALLS_MAX,
        )
    )


def _accounts(transaction: Transaction) -> list[Mapping[str, Any]]:
    """Return every account with the time of its last webhook and what waits for its gateway."""
    return records(
        transaction.rows(
            """
            WITH waiting AS (
                SELECT gateway_account_id, count(*) AS events, min(received_at) AS oldest_at
                  FROM payments.payment_events
                 WHERE organization_id = :organization_id AND state IN ('pending', 'retry_scheduled')
                 GROUP BY gateway_account_id
            ), undecided AS (
                SELECT gateway_account_id, count(*) AS payments, min(created_at) AS oldest_at
                  FROM payments.payments
                 WHERE organization_id = :organization_id AND status IN ('pending', 'processing', 'requires_action')
                   AND created_at < :open_since
                 GROUP BY gateway_account_id
            ), failing AS (
                SELECT p.gateway_account_id, count(*) AS operations, min(b.created_at) AS oldest_at
                  FROM orders.order_operations b
                  JOIN payments.payments p ON p.organization_id = b.organization_id AND p.id = b.payment_id
                 WHERE b.organization_id = :organization_id AND b.state = 'running' AND b.last_error IS NOT NULL
                 GROUP BY p.gateway_account_id
            )
            SELECT a.id, a.gateway, a.endpoint_key, a.mode, a.status, a.merchant_account,
                   (SELECT max(e.received_at) FROM payments.payment_events e
                     WHERE e.organization_id = a.organization_id AND e.gateway_account_id = a.id
                       AND e.gateway_event_type <> 'answer') AS last_webhook_at,
                   COALESCE(w.events, 0) AS unprocessed_events, w.oldest_at AS oldest_unprocessed_at,
                   COALESCE(u.payments, 0) AS undecided_payments, u.oldest_at AS oldest_undecided_at,
                   COALESCE(f.operations, 0) AS failing_operations, f.oldest_at AS oldest_failing_at
              FROM tenancy.gateway_accounts a
              LEFT JOIN waiting w ON w.gateway_account_id = a.id
              LEFT JOIN undecided u ON u.gateway_account_id = a.id
              LEFT JOIN failing f ON f.gateway_account_id = a.id
             WHERE a.organization_id = :organization_id
             ORDER BY a.gateway, a.id
            """,
            organization_id=transaction.tenant,
            open_since=transaction.now - timedelta(seconds=UNDECIDED_AFTER_SECONDS),
        )
    )


_NONE: Final[Mapping[str, Any]] = {
    "count": 0,
    "unanswered": 0,
    "refused": 0,
    "error_rate": None,
    "p50_ms": None,
    "p95_ms": None,
    "last_at": None,
}


def _figures(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one gateway's calls; only a call without an answer counts as an error.

    A refusal is an answer, and as a rule for the shopper or for us to correct.
    """
    return {
        "count": row["calls"],
        "unanswered": row["unanswered"],
        "refused": row["refused"],
        "error_rate": round(row["unanswered"] / row["calls"], 4),
        "p50_ms": row["p50_ms"],
        "p95_ms": row["p95_ms"],
        "last_at": row["last_at"],
    }
