"""Two shops with everything a shop can have and up to 10^5 orders, inserted set-based in a few seconds.

Triggers and foreign keys are off during the inserts (`session_replication_role`), which takes a superuser; the rows
respect them all the same. Shop A has four rows in five, so an index that merely finds the tenant hardly narrows the
search. The shops have no ids in common.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from pg8000.native import Connection

from local.postgres import Address

SPAN_DAYS = 28


@dataclass(frozen=True, slots=True)
class Shop:
    """One tenant of the large database, with the keys of one of its orders and the instant of its last order."""

    organization_id: UUID
    gateway_account_id: UUID
    order_id: UUID
    order_number: str
    customer_id: UUID
    warehouse_id: UUID
    variant_id: UUID
    payment_id: UUID
    transaction_id: str
    customer_subject: str
    now: datetime


def seed(superuser: Address, *, orders: int, variants: int, customers: int) -> tuple[Shop, Shop]:
    """Fill a migrated database, analyze it, and return both shops."""
    now = datetime.now(UTC).replace(microsecond=0)
    connection = Connection(
        superuser.user,
        host=superuser.host,
        port=superuser.port,
        database=superuser.database,
        password=superuser.password,
    )
    try:
        connection.run("BEGIN; SET LOCAL session_replication_role = replica")
        script = Path(__file__).with_suffix(".sql").read_text()
        connection.run(
            script.format(
                orders=orders,
                variants=variants,
                customers=customers,
                base=(now - timedelta(days=SPAN_DAYS)).isoformat(),
                step=SPAN_DAYS * 86_400 / orders,
            )
        )
        a, b = connection.run(
            "SELECT DISTINCT ON (organization_id) organization_id, account, id, 'N' || n, customer_id, warehouse_id,"
            " variant_id, payment_id, 'pi_' || n, 'subject-' || (1 + n % (CAST(:customers AS integer) / 2))"
            "  FROM placed WHERE status = 'confirmed' ORDER BY organization_id, n",
            customers=customers,
        )
        connection.run("COMMIT")
        connection.run("VACUUM ANALYZE")  # in a real shop of this size, autovacuum has long done so
    finally:
        connection.close()
    return Shop(*[*a, now]), Shop(*[*b, now])
