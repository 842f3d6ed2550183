"""Cold storage: export months, prove them, read one order, restore a month. The only function that loads pyarrow."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.organizations import EachByItself
from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.flows.archive.read_cold_order import find_cold_order, read_cold_order
from holdfast.flows.archive.restore_month import restore_months
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Handle one event.

    ``{"read": ...}`` and ``{"find": ...}`` come from other functions, ``{"work": "restore_months"}`` from a schedule.
    Anything else is the hourly tick, which has nothing to do once its month is moved and proven. Files are proven also
    if the export failed.
    """
    with correlated(str(event.get("id", "tick"))):
        if "read" in event:
            return read_cold_order(runtime(), event["read"])
        if "find" in event:
            return find_cold_order(runtime(), event["find"])
        if event.get("work") == "restore_months":
            restored = restore_months(runtime(), utc_now, time_left(context))
            count("OrdersRefiled", restored.orders)
            count("ColdFilesBroken", restored.failed_months)
            return {"orders": restored.orders, "months": restored.months, "finished": restored.finished}
        with EachByItself() as parts:
            with parts.part("the export"):
                exported = export_to_cold_storage(runtime(), utc_now, time_left(context))
                count("OrdersExported", exported.orders)
                count("ColdFilesBroken", exported.unproven_files)
            with parts.part("the proof"):
                proof = prove_cold_storage(runtime(), utc_now, time_left(context), only_due=True)
                count("ColdFilesBroken", len(proof.broken))
                count("ArchiveDiscrepancies", proof.wrong)
                count("ArchiveLooksLate", proof.late_files)
        return {
            "exported": exported.orders,
            "months_dropped": exported.months_dropped,
            "files_proven": proof.files,
            "broken": proof.broken,
            "finished": exported.finished and proof.finished,
        }
