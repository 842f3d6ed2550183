"""Cold storage: months into it, proofs of it, one order or a month out of it. The one function that loads pyarrow."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.prove_cold_storage import prove_cold_storage, restore_month
from holdfast.flows.archive.read_cold_order import read_cold_order
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """``{"read": {...}}`` and ``{"restore_month": {...}}`` are asked by functions and by operators; else, a tick."""
    with correlated(str(event.get("id", "tick"))):
        if "read" in event:
            return {"document": read_cold_order(runtime(), event["read"])}
        if "restore_month" in event:
            wanted = event["restore_month"]
            month = date.fromisoformat(f"{wanted['month']}-01")
            organization_id = UUID(wanted["organization_id"])
            return {"orders": restore_month(runtime(), organization_id, month, utc_now, str(wanted["actor"]))}
        exported = export_to_cold_storage(runtime(), utc_now, time_left(context))
        proof = prove_cold_storage(runtime(), utc_now, time_left(context))
        count("OrdersExported", exported.orders)
        count("ColdFilesBroken", exported.unproven_files + len(proof.broken))
        return {
            "exported": exported.orders,
            "months_dropped": exported.months_dropped,
            "files_proven": proof.files,
            "broken": proof.broken,
            "finished": exported.finished and proof.finished,
        }
