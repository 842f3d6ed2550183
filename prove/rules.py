"""What must be true of a world that has come to rest: the product's invariants, what the outside world saw, and that
nothing waits for ever. Every query returns the rows that break its sentence."""

from collections.abc import Mapping
from typing import Final

from prove.invariants import INVARIANTS

LIMBO: Final[Mapping[str, str]] = {
    "no order waits for its money for ever": """
        SELECT o.id, o.status FROM orders.orders o
         WHERE o.status IN ('pending_payment', 'payment_processing', 'payment_failed', 'payment_confirmed')
           AND NOT EXISTS (SELECT 1 FROM payments.payments p JOIN operations.process_failures f ON f.related_id = p.id
                            WHERE p.order_id = o.id AND f.process_name = 'PaymentUndecided' AND f.status = 'open')
    """,
    "no payment stays open, unless a person was called to look for it": """
        SELECT p.id, p.order_id, p.status, p.next_check_at, p.checks FROM payments.payments p
         WHERE p.status IN ('pending', 'processing', 'requires_action')
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f
                            WHERE f.related_id = p.id AND f.process_name = 'PaymentUndecided' AND f.status = 'open')
    """,
    "no hold outlives its order's decision": """
        SELECT id, order_id, expires_at FROM inventory.reservations WHERE status = 'active'
    """,
    "what is owed back or to be taken is carried out, or a person was called": """
        SELECT x.id, x.order_id, x.operation, x.state, x.attempts, x.last_error FROM orders.order_operations x
         WHERE x.state = 'running'
            OR (x.state = 'failed' AND NOT EXISTS (
                SELECT 1 FROM operations.process_failures f WHERE f.organization_id = x.organization_id
                   AND f.related_id IN (x.order_id, x.payment_id)))
    """,
    "no refund is under way, unless a person was called to look for it": """
        SELECT r.id, r.order_id, r.status, r.gateway_refund_id FROM payments.refunds r
         WHERE r.status IN ('pending', 'processing')
           AND NOT EXISTS (SELECT 1 FROM orders.order_operations x
                             JOIN operations.process_failures f ON f.related_id IN (x.order_id, x.payment_id)
                            WHERE x.order_id = r.order_id AND x.payment_id = r.payment_id AND x.state = 'failed'
                              AND f.status = 'open')
    """,
    "no stored event waits for ever": """
        SELECT id, gateway_event_id, event_type, state, attempts, last_error FROM payments.payment_events
         WHERE state NOT IN ('processed', 'ignored', 'dead_lettered')
    """,
    "every dead letter found its end": """
        SELECT id, status, failure_reason, replays FROM payments.dead_letters WHERE resolved_at IS NULL
    """,
    "every committed message was published": """
        SELECT id, topic, attempts FROM operations.outbox WHERE published_at IS NULL
    """,
}

SEEN: Final[Mapping[str, str]] = {
    "at no instant was a rule of stock or money broken": "SELECT rule, subject, detail FROM prove.seen",
    "nothing was raised that no caller is told about": "SELECT move, step, error, detail FROM prove.surprises",
    "nobody deadlocked": "SELECT waiting FROM prove.deadlocks",
    "an acknowledged webhook is stored, once": """
        SELECT a.gateway_event_id, count(e.id) AS stored
          FROM (SELECT DISTINCT gateway_event_id FROM prove.acknowledged) a
          LEFT JOIN payments.payment_events e ON e.gateway_event_id = a.gateway_event_id
         GROUP BY a.gateway_event_id HAVING count(e.id) <> 1
    """,
    "nothing forged is stored": "SELECT id FROM payments.payment_events WHERE gateway_event_id LIKE '%\\_forged'",
    "the same key gets the same answer": """
        SELECT caller, operation, key, count(DISTINCT body) AS answers FROM prove.answers
         GROUP BY caller, operation, key HAVING count(DISTINCT (status, body)) > 1
    """,
    "one key places one order": """
        SELECT customer_notes AS key, count(*) AS orders FROM orders.orders
         GROUP BY customer_notes HAVING count(*) > 1
    """,
    "an attempt is charged once": """
        SELECT payment_id, count(*) AS transactions, sum(charges_captured) AS charges FROM prove.at_gateway
         GROUP BY payment_id HAVING count(*) FILTER (WHERE status <> 'canceled') > 1 OR sum(charges_captured) > 1
    """,
    "a refund is made once": """
        SELECT refund_id, count(*) AS times, sum(amount) AS given FROM prove.refunds_at_gateway
         WHERE refund_id IS NOT NULL AND status NOT IN ('failed', 'canceled')
         GROUP BY refund_id HAVING count(*) > 1
    """,
    "an event that kills its process is given up in the end": """
        SELECT event_id, state, attempts FROM prove.tried_for_ever
    """,
    "the gateway has no money that is not known here": """
        SELECT g.transaction_id, g.payment_id, g.order_id, g.captured, g.refunded FROM prove.at_gateway g
          LEFT JOIN payments.payments p ON p.id = g.payment_id AND p.gateway_transaction_id = g.transaction_id
         WHERE p.id IS NULL AND (g.captured > g.refunded OR g.held > 0)
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f
                            WHERE f.related_id = g.payment_id AND f.process_name = 'PaymentUndecided'
                              AND f.status = 'open')
    """,
    "what was taken and given back is what the gateway says, or a person was told": """
        SELECT p.id, p.status, p.captured_amount, g.captured, p.refunded_amount, g.refunded, g.held
          FROM prove.at_gateway g JOIN payments.payments p ON p.gateway_transaction_id = g.transaction_id
         WHERE (p.captured_amount <> g.captured OR p.refunded_amount <> g.refunded
                OR (p.status = 'authorized') <> (g.held > 0))
           AND NOT EXISTS (SELECT 1 FROM payments.money_differences d
                            WHERE d.organization_id = p.organization_id AND d.payment_id = p.id
                              AND d.status = 'open')
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f
                            WHERE f.related_id = p.order_id AND f.status = 'open'
                              AND f.process_name IN ('RefundFailed', 'ReturnMoney'))
    """,
    "an order that is over keeps no money, or a person was told": """
        SELECT o.id, o.status, g.captured, g.refunded, g.held
          FROM orders.orders o JOIN prove.at_gateway g ON g.order_id = o.id
         WHERE o.status IN ('cancelled', 'refunded') AND (g.captured > g.refunded OR g.held > 0)
           AND NOT EXISTS (SELECT 1 FROM payments.payments p WHERE p.order_id = o.id AND p.charged_back_amount > 0)
           AND NOT EXISTS (SELECT 1 FROM payments.money_differences d WHERE d.order_id = o.id AND d.status = 'open')
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f
                            WHERE f.related_id = o.id AND f.process_name IN ('RefundFailed', 'ReturnMoney'))
    """,
    "nobody pays more than the order costs, or a person was told": """
        SELECT o.id, o.status, o.total, sum(g.captured - g.refunded) AS kept FROM orders.orders o
          JOIN prove.at_gateway g ON g.order_id = o.id
         WHERE NOT EXISTS (SELECT 1 FROM operations.process_failures f
                            WHERE f.related_id = o.id AND f.process_name IN ('RefundFailed', 'ReturnMoney'))
           AND NOT EXISTS (SELECT 1 FROM payments.money_differences d WHERE d.order_id = o.id AND d.status = 'open')
         GROUP BY o.id, o.status, o.total HAVING sum(g.captured - g.refunded) > o.total
    """,
    "the expiry cancels only what nobody paid": """
        SELECT h.order_id, p.id, p.status, p.captured_amount FROM orders.order_status_history h
          JOIN payments.payments p ON p.organization_id = h.organization_id AND p.order_id = h.order_id
         WHERE h.to_status = 'cancelled' AND h.changed_by = 'system:reservation_expiry'
           AND (p.captured_amount > 0 OR p.status IN ('authorized', 'pending', 'processing', 'requires_action'))
    """,
    "an order walks only where the table lets it": """
        SELECT h.order_id, h.sequence, h.from_status, h.to_status FROM orders.order_status_history h
         WHERE h.sequence > 1 AND NOT h.is_reversal
           AND NOT EXISTS (SELECT 1 FROM orders.status_transitions t
                            WHERE t.from_status = h.from_status AND t.to_status = h.to_status)
        UNION ALL
        SELECT h.order_id, h.sequence, h.from_status, h.to_status FROM (
            SELECT *, lag(to_status) OVER (PARTITION BY organization_id, order_id ORDER BY sequence) AS before,
                   row_number() OVER (PARTITION BY organization_id, order_id ORDER BY sequence) AS place
              FROM orders.order_status_history) h
         WHERE h.from_status IS DISTINCT FROM h.before OR h.place <> h.sequence
    """,
    "every step that is told of was told": """
        SELECT h.order_id, h.sequence, h.to_status FROM orders.order_status_history h
          JOIN (VALUES ('payment_failed', 'order.payment_failed'), ('confirmed', 'order.confirmed'),
                       ('cancelled', 'order.cancelled'), ('refunded', 'order.refunded')) AS told (status, topic)
            ON told.status = h.to_status
         WHERE NOT h.is_reversal
           AND NOT EXISTS (SELECT 1 FROM prove.published b WHERE b.aggregate_id = h.order_id AND b.topic = told.topic)
    """,
    "nothing is published that was not committed": """
        SELECT p.id, p.topic FROM prove.published p
         WHERE NOT EXISTS (SELECT 1 FROM prove.committed_messages c WHERE c.id = p.id)
    """,
    "every committed message reached the bus": """
        SELECT c.id, c.topic FROM prove.committed_messages c
         WHERE NOT EXISTS (SELECT 1 FROM prove.published p WHERE p.id = c.id)
    """,
    "a dead letter is replayed by one at a time": """
        SELECT dead_letter_id, sequence FROM (
            SELECT dead_letter_id, sequence, action, created_at,
                   lag(action) OVER w AS action_before, lag(created_at) OVER w AS begun_at
              FROM payments.dead_letter_history
            WINDOW w AS (PARTITION BY organization_id, dead_letter_id ORDER BY sequence)) h
         WHERE action = 'replay_began' AND action_before = 'replay_began'
           AND created_at < begun_at + interval '90 seconds'
    """,
    "a class's successes are its dead letters' replays": """
        SELECT c.id, c.successful_replays, COALESCE(m.successes, 0) AS given, r.replays FROM payments.error_classes c
          LEFT JOIN (SELECT class_id, sum(successes) AS successes FROM prove.merits GROUP BY class_id) m
                 ON m.class_id = c.id
         CROSS JOIN LATERAL (SELECT count(*) AS replays FROM payments.dead_letters d
                              JOIN payments.dead_letter_history h
                                ON h.organization_id = d.organization_id AND h.dead_letter_id = d.id
                             WHERE h.action = 'replayed' AND d.error_class_id = c.id) r
         WHERE c.successful_replays - COALESCE(m.successes, 0) > r.replays
    """,
    "the default partitions are empty": """
        SELECT 'movements' AS what, count(*) FROM inventory.stock_movements_default HAVING count(*) > 0
        UNION ALL SELECT 'history', count(*) FROM orders.order_status_history_default HAVING count(*) > 0
    """,
}

TOLD: Final[Mapping[str, str]] = {
    "no mail waits for ever": """
        SELECT id, kind, status, attempts FROM notifications.messages WHERE status IN ('pending', 'sending')
    """,
    "a mail is taken once, unless its sender could not say so": """
        SELECT message_id, count(*) AS times FROM prove.mails WHERE NOT is_orphan
         GROUP BY message_id HAVING count(*) > 1
    """,
    "a mail that was taken is on record as sent": """
        SELECT t.message_id, m.status FROM prove.mails t LEFT JOIN notifications.messages m ON m.id = t.message_id
         WHERE NOT t.is_orphan AND m.status IS DISTINCT FROM 'sent'
    """,
    "a mail that is said to be sent was taken": """
        SELECT m.id, m.kind FROM notifications.messages m
         WHERE m.status = 'sent' AND NOT EXISTS (SELECT 1 FROM prove.mails t WHERE t.message_id = m.id)
    """,
    "whose mail came back, or who complained, gets no more": """
        SELECT message_id, recipient FROM prove.mails WHERE is_unwanted
    """,
    "a mail that was given up has called a person": """
        SELECT m.id, m.kind, m.attempts FROM notifications.messages m
         WHERE m.status = 'failed'
           AND NOT EXISTS (SELECT 1 FROM operations.process_failures f WHERE f.related_id = m.order_id)
    """,
}

AREAS: Final[Mapping[str, Mapping[str, str]]] = {
    "at every instant": INVARIANTS,
    "at rest": LIMBO,
    "what shoppers are told": TOLD,
    "against what the outside world saw": SEEN,
}

DISPUTABLE: Final = """
    SELECT r.order_id, r.gateway_transaction_id FROM archive.payment_references r
      JOIN archive.archive_index x ON x.organization_id = r.organization_id AND x.order_id = r.order_id
      JOIN prove.at_gateway g ON g.transaction_id = r.gateway_transaction_id AND g.captured > 0
     WHERE x.location = :location ORDER BY r.order_id
"""
"""Orders at one location of the archive index whose money was taken, so that a bank may dispute them."""
_REMAINS: Final = (
    "orders.order_items", "orders.order_status_history", "orders.order_allocations", "orders.order_operations",
    "orders.order_address_versions", "payments.payments", "payments.refunds", "inventory.reservations",
    "fulfillment.shipments", "addresses.reviews",
)  # fmt: skip
YEARS: Final[Mapping[str, str]] = {
    "an order is in one place": """
        SELECT k.id, o.id IS NOT NULL AS is_active, x.location FROM prove.known_orders k
          LEFT JOIN orders.orders o ON o.id = k.id AND o.deleted_at IS NULL
          LEFT JOIN archive.archive_index x ON x.order_id = k.id AND x.location <> 'restored'
         WHERE (o.id IS NULL) = (x.order_id IS NULL)
    """,
    "what has been over for years is in the archive, unless something of it is open": """
        SELECT o.id, o.status, o.status_changed_at FROM orders.orders o
         WHERE o.status IN ('delivered', 'cancelled', 'refunded', 'partially_refunded')
           AND NOT archive.is_unsettled(o.organization_id, o.id)
    """,
    "nothing of a purged order stays behind": " UNION ALL ".join(
        f"SELECT '{table}' AS what, t.order_id FROM {table} t"
        " WHERE NOT EXISTS (SELECT 1 FROM orders.orders o WHERE o.id = t.order_id)"
        for table in _REMAINS
    ),
    "every archived order lies where the index says, as it was sealed": """
        SELECT x.order_id, x.version, x.location FROM archive.archive_index x
          LEFT JOIN archive.batch_leaves l ON l.organization_id = x.organization_id AND l.order_id = x.order_id
               AND l.version = x.version
          LEFT JOIN archive.archived_orders a ON a.organization_id = x.organization_id AND a.order_id = x.order_id
               AND a.version = x.version
         WHERE l.checksum IS DISTINCT FROM x.checksum
            OR (x.location = 'archived' AND sha256(convert_to(a.document, 'UTF8')) IS DISTINCT FROM l.checksum)
            OR (x.location = 'cold_storage' AND NOT EXISTS (
                SELECT 1 FROM archive.cold_files f WHERE f.path = x.cold_path AND f.state = 'verified'))
    """,
    "nothing in the archive is found wrong": "SELECT order_id, kind FROM archive.discrepancies",
    "late news of an order that was put away reached it": """
        SELECT n.order_id FROM prove.late_news n
         WHERE NOT EXISTS (SELECT 1 FROM payments.payments p JOIN payments.disputes d ON d.payment_id = p.id
                            WHERE p.order_id = n.order_id)
           AND NOT EXISTS (SELECT 1 FROM archive.archive_index x WHERE x.order_id = n.order_id AND x.version > 1)
    """,
    "nothing was raised in those years that no caller is told about": """
        SELECT move, step, error, detail FROM prove.surprises
    """,
    "nobody deadlocked in those years": "SELECT waiting FROM prove.deadlocks",
}
"""The sentences that are checked once years have gone by."""
