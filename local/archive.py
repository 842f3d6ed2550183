"""The local system's archive: filled at once so that it can be seen, and proven from its first batch to its head, order
by order and file by file."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from holdfast.flows.archive.archive_orders import archive_orders
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.organizations import organizations
from holdfast.flows.archive.prove_chain import ChainProof, prove_chain
from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.scan_archive import full_scan
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.runtime import Runtime
from local.aws import ACCESS
from local.runtimes import runtime_of
from local.system import LocalSystem

ACTOR = "system:verify_archive"


def fill(system: LocalSystem, years: float) -> list[str]:
    """Run the archive's schedules as if this many years had passed: archive, verify, purge after the grace, export.

    Orders that are over (cancelled, delivered, refunded) go as far as their age takes them.
    """
    os.environ.update(ACCESS | {"AWS_ENDPOINT_URL": system.aws_url})
    with runtime_of(system) as runtime:
        then = _now() + timedelta(days=365.25 * years)
        archived = archive_orders(runtime, lambda: then, _plenty)
        verified = verify_new_batches(runtime, lambda: then, _plenty)
        later = then + timedelta(days=8)
        purged = purge_orders(runtime, lambda: later, _plenty)
        exported = export_to_cold_storage(runtime, lambda: later, _plenty)
    return [
        f"archived {archived.orders} orders in {archived.batches} batches",
        f"verified {verified.tally.checked}: {verified.tally.orders_found} are wrong",
        f"purged {purged.orders} from the active tables",
        f"moved {exported.orders} to cold storage in {exported.files} files; {exported.months_waiting} months wait",
    ]


def verify(system: LocalSystem) -> tuple[list[str], bool]:
    """Return what was and was not proven, as text, and whether everything was proven."""
    os.environ.update(ACCESS | {"AWS_ENDPOINT_URL": system.aws_url})
    with runtime_of(system) as runtime:
        return verify_with(runtime)


def verify_with(runtime: Runtime) -> tuple[list[str], bool]:
    """Do the same with any runtime that has the role of the system's schedules."""
    begin = time.monotonic()
    told, proven = [], True
    for organization_id, _ in organizations(runtime, _now(), ACTOR):
        proof = prove_chain(runtime, organization_id, _now, _plenty, actor=ACTOR)
        told.append(f"{organization_id}: {_words(proof)}")
        proven = proven and proof.break_position is None
    scanned = full_scan(runtime, _now, _plenty)
    told.append(f"{scanned.tally.checked} orders in {scanned.batches} batches: {scanned.tally.orders_found} are wrong")
    told += [f"  order {found.order_id}: {found.kind}, {found.details}" for found in scanned.tally.findings[:20]]
    cold = prove_cold_storage(runtime, _now, _plenty)
    told.append(f"{cold.orders} orders in {cold.files} files of cold storage: {len(cold.broken)} files are broken")
    told += [f"  {broken}" for broken in cold.broken]
    told.append(f"in {time.monotonic() - begin:.1f} s")
    return told, proven and not scanned.tally.findings and not cold.broken


def _words(proof: ChainProof) -> str:
    if proof.break_position is None:
        return f"{proof.batches} batches, {proof.orders} orders, the chain is whole; its root is {proof.root}"
    batch = f", batch {proof.break_batch_id}" if proof.break_batch_id else ""
    return f"the chain breaks first at position {proof.break_position}{batch}: {proof.break_reason}"


def _now() -> datetime:
    return datetime.now(UTC)


def _plenty() -> float:
    return 3_600.0
