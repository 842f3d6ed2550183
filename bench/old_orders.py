"""Orders of years ago, in bulk: what an archive finds when it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from bench.shop import ORGANIZATION_ID

SCRIPT = Path(__file__).with_name("sql") / "old_orders.sql"
CHUNK_ORDERS = 20_000


def seed_old_orders(engine: Engine, orders: int, *, oldest: datetime, newest: datetime, first: int = 1) -> None:
    """Write delivered orders into the shop of ``bench.shop``, evenly between two instants, and their partitions."""
    start = oldest.replace(day=1)
    with engine.connect() as connection:
        for _ in range((newest.year - oldest.year) * 12 + newest.month - oldest.month + 1):
            connection.execute(text("SELECT operations.make_partitions(CAST(:month AS date), 0)"), {"month": start})
            start = (start + timedelta(days=32)).replace(day=1)
        connection.commit()
    step = (newest - oldest) / orders
    for begin in range(first, first + orders, CHUNK_ORDERS):
        end = min(begin + CHUNK_ORDERS, first + orders) - 1
        filled = SCRIPT.read_text()
        for word, value in {
            "ORGANIZATION": str(ORGANIZATION_ID),
            "FIRST": str(begin),
            "LAST": str(end),
            "OLDEST": (oldest + step * (begin - first)).astimezone(UTC).isoformat(),
            "NEWEST": (oldest + step * (end + 1 - first)).astimezone(UTC).isoformat(),
        }.items():
            filled = filled.replace(word, value)
        # As the superuser, in a single transaction whose COMMIT also drops the temporary tables.
        with engine.connect() as connection:
            connection.exec_driver_sql(f"BEGIN; {filled} COMMIT;")
