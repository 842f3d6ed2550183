"""Verify that the archive is as it was sealed: new batches hourly, a random sample and the chain daily, everything
monthly."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from holdfast.flows.archive.organizations import EachByItself
from holdfast.flows.archive.prove_chain import prove_chains
from holdfast.flows.archive.scan_archive import count_open, full_scan, spot_check
from holdfast.flows.archive.verify_archive import Verified, verify_new_batches
from holdfast.runtime import Runtime, runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count

_LOOKS: dict[str, Callable[[Runtime, Callable[[], datetime], Callable[[], float]], Verified]] = {
    "post_archive": verify_new_batches,
    "spot_check": spot_check,
    "chain": prove_chains,
    "full_scan": partial(full_scan, only_due=True),
}


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run the verification that the event names as ``look``, by default ``post_archive``.

    With ``post_archive`` open discrepancies are counted, also if it failed.
    """
    look = str(event.get("look", "post_archive"))
    with correlated(str(event.get("id", look))):
        with EachByItself() as parts:
            with parts.part(look):
                verified = _LOOKS[look](runtime(), utc_now, time_left(context))
                count("ArchivedOrdersVerified", verified.tally.checked)
                count("ArchiveDiscrepancies", verified.tally.orders_found)
                count("ArchiveBatchesFailed", verified.failed_batches)
                count("ArchiveLooksLate", verified.late)
            if look == "post_archive":
                with parts.part("the count of what is open"):
                    count("ArchiveDiscrepancies", count_open(runtime(), utc_now))
        return {
            "look": look,
            "batches": verified.batches,
            "checked": verified.tally.checked,
            "found": verified.tally.orders_found,
            "finished": verified.finished,
        }
