"""Every day, archive old and settled orders, and purge them from the active tables once their copy is verified."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.archive.archive_orders import archive_orders
from holdfast.flows.archive.organizations import EachByItself
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Purge what is due first, because that makes room. Then archive while there is time, also if the purge failed."""
    with correlated(str(event.get("id", "tick"))):
        with EachByItself() as parts:
            with parts.part("the purge"):
                purged = purge_orders(runtime(), utc_now, time_left(context))
                count("OrdersPurged", purged.orders)
                count("ArchiveBatchesBlocked", purged.blocked_batches)
            with parts.part("the archiving"):
                archived = archive_orders(runtime(), utc_now, time_left(context))
                count("OrdersArchived", archived.orders)
        return {
            "archived": archived.orders,
            "purged": purged.orders,
            "blocked_batches": purged.blocked_batches,
            "finished": archived.finished and purged.finished,
        }
