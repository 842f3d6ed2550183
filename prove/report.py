"""The report of a world: every invariant, how many rows break it, and the first of those rows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.flows.money.refold_payments import Chosen, refold_all
from prove import shop
from prove.rules import AREAS
from prove.world import World
from prove.years import Years

SHOWN_MAX: Final = 3
FOLD: Final = "a payment is the fold of its events"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one invariant in one world."""

    area: str
    sentence: str
    rows: int
    first: tuple[str, ...]

    @property
    def is_violated(self) -> bool:
        """Whether any row breaks the invariant."""
        return self.rows > 0


def examine(world: World) -> list[Finding]:
    """Check every invariant against the database."""
    found = [
        _finding(area, sentence, world.rows(query))
        for area, queries in AREAS.items()
        for sentence, query in queries.items()
    ]
    return [*found, _finding("at every instant", FOLD, _refold(world))]


def examine_years(world: World, years: Years) -> Iterator[Finding]:
    """Let the years go by, and check again."""
    world.sql("INSERT INTO prove.known_orders SELECT id FROM orders.orders")
    for sentence, rows in years.go_by().items():
        yield _finding("after the years", sentence, rows)


def _refold(world: World) -> list[object]:
    pages = refold_all(world.runtime("system"), shop.ORGANIZATION, Chosen(), world.now)
    return [difference for page in pages for difference in page["differences"]]


def _finding(area: str, sentence: str, rows: Sequence[object]) -> Finding:
    return Finding(area, sentence, len(rows), tuple(str(row) for row in rows[:SHOWN_MAX]))


def count_transitions(world: World) -> Counter[str]:
    """Count how often each status or step was reached by orders, payments, holds, events, dead letters, transfers,
    stock movements, refunds, operations, mails and messages, and how often a person was called."""
    counts: Counter[str] = Counter()
    for row in world.rows(_TRANSITIONS):
        counts[f"transition {row['what']}: {row['step']}"] += row["times"]
    return counts


_TRANSITIONS: Final = """
    SELECT 'order' AS what, COALESCE(from_status, '') || ' -> ' || to_status AS step, count(*) AS times
      FROM orders.order_status_history GROUP BY 2
    UNION ALL SELECT 'payment', status, count(*) FROM payments.payments GROUP BY 2
    UNION ALL SELECT 'hold', status || COALESCE(', ' || reason, ''), count(*) FROM inventory.reservations GROUP BY 2
    UNION ALL SELECT 'event', COALESCE(event_type, 'unknown') || ', ' || state, count(*)
      FROM payments.payment_events GROUP BY 2
    UNION ALL SELECT 'dead letter', action || ' -> ' || to_status, count(*) FROM payments.dead_letter_history GROUP BY 2
    UNION ALL SELECT 'transfer', status, count(*) FROM inventory.transfers GROUP BY 2
    UNION ALL SELECT 'movement', type, count(*) FROM inventory.stock_movements GROUP BY 2
    UNION ALL SELECT 'refund', status, count(*) FROM payments.refunds GROUP BY 2
    UNION ALL SELECT 'operation', operation || ', ' || state, count(*) FROM orders.order_operations GROUP BY 2
    UNION ALL SELECT 'person called', process_name, count(*) FROM operations.process_failures GROUP BY 2
    UNION ALL SELECT 'mail', kind || ', ' || status, count(*) FROM notifications.messages GROUP BY 2
    UNION ALL SELECT 'message', topic, count(*) FROM operations.outbox GROUP BY 2
"""
