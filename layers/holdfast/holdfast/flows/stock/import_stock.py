"""Import a file of stock: all of it is validated before anything changes, then it is applied batch by batch.

The digest of the file is its idempotency key. The same file again changes nothing, or resumes where the import was
interrupted, because each batch commits together with the record of the progress. Memory is bounded by the file and one
batch.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.stock.count_levels import beside_book, booked_since
from holdfast.flows.stock.locked_levels import lock_levels, move_stock
from holdfast.inventory.stock import Level, LevelKey
from holdfast.inventory.stock_count import Comparison, Difference, Placed
from holdfast.inventory.stock_file import ImportMode, ImportStatus, RowError, StockRow, read_rows
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.values.ids import uuid7

BATCH_MAX_ROWS: Final = 1_000
ERRORS_SHOWN_MAX: Final = 100
DIFFERENCES_SHOWN_MAX: Final = 100
COUNT_AGE_MAX_SECONDS: Final = 3600
"""How long after its beginning a count may still be resumed."""
UNCERTAIN: Final = "goods were booked in or out since the file was begun: count it anew, in another file"
PAGE_MAX_ROWS: Final = 100
_EMPTY: Final = Level(0, 0)


@dataclass(frozen=True, slots=True)
class ImportStock:
    """A request to apply a file, or only to check it (``dry_run``)."""

    caller: Caller
    text: str
    mode: ImportMode
    reason: str
    dry_run: bool


@dataclass(slots=True)
class _Findings:
    """What the validation of a file found. All bad rows and all differences are counted, but only the first kept."""

    rows: int = 0
    bad_rows: int = 0
    errors: list[RowError] = field(default_factory=list)
    changed_levels: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, found: Iterable[RowError]) -> None:
        for error in found:
            self.bad_rows += 1
            if len(self.errors) < ERRORS_SHOWN_MAX:
                self.errors.append(error)

    def compare(self, found: Iterable[Difference]) -> None:
        for difference in found:
            self.changed_levels += 1
            if len(self.differences) < DIFFERENCES_SHOWN_MAX:
                self.differences.append(difference)


def import_stock(
    runtime: Runtime, command: ImportStock, clock: Callable[[], datetime], time_left_seconds: Callable[[], float]
) -> Mapping[str, Any]:
    """Import the file and return the record of the import.

    Raises Forbidden, InvalidInput naming bad rows, or Conflict if stock moved meanwhile or a count is too old to be
    resumed.
    """
    arrived = clock()  # what a count describes: goods may move while the file is looked through
    digest = hashlib.sha256(command.text.encode()).hexdigest()
    earlier: Mapping[str, Any] | None = _in_transaction(
        runtime, command, clock, lambda transaction: _earlier(transaction, command, digest)
    )
    if earlier is not None and (earlier["status"] == ImportStatus.APPLIED or command.dry_run):
        return earlier
    if earlier is not None and command.mode is ImportMode.LEVELS:
        _check_age(earlier, clock())
    if earlier is None:
        findings = _look(runtime, command, clock)
        if command.dry_run:
            return _as_if(command, digest, findings)
        earlier = record = _in_transaction(
            runtime, command, clock, lambda transaction: _record(transaction, command, digest, findings, arrived)
        )
        if findings.bad_rows:
            raise InvalidInput(
                f"{findings.bad_rows} of {findings.rows} rows are bad: nothing was imported",
                errors=[{"field": f"row {e.row}, {e.column}", "message": e.message} for e in findings.errors],
                bad_rows=findings.bad_rows,
                import_id=record["id"],
            )
    return _apply(runtime, command, earlier, clock, time_left_seconds)


def list_imports(runtime: Runtime, caller: Caller, *, before: UUID | None, limit: int, now: datetime) -> dict[str, Any]:
    """Return a page of imports, newest first, and the cursor of the next page. Raises Forbidden."""
    limit = min(limit, PAGE_MAX_ROWS)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_STOCK_IMPORTS)
        rows = transaction.rows(
            """
            SELECT i.id, i.digest, i.mode, i.status, i.rows, i.applied_rows, i.changed_levels, i.bad_rows, i.errors,
                   i.reason, i.imported_by, i.created_at, i.finished_at
              FROM inventory.stock_imports i
             WHERE i.organization_id = :organization_id
               AND (CAST(:before AS uuid) IS NULL OR i.id < CAST(:before AS uuid))
             ORDER BY i.id DESC LIMIT :limit
            """,
            organization_id=transaction.tenant,
            before=before,
            limit=limit,
        )
    found = [_shown(row) for row in records(rows)]
    return {"imports": found, "next_before": found[-1]["id"] if len(found) == limit else None}


def _check_age(record: Mapping[str, Any], now: datetime) -> None:
    """Raise Conflict for a count that began too long ago to be resumed."""
    if datetime.fromisoformat(record["created_at"]) <= now - timedelta(seconds=COUNT_AGE_MAX_SECONDS):
        raise Conflict(
            f"the count was begun more than {COUNT_AGE_MAX_SECONDS // 60} minutes ago: count what is left of it anew,"
            " in another file",
            applied_rows=record["applied_rows"],
        )


def _look(runtime: Runtime, command: ImportStock, clock: Callable[[], datetime]) -> _Findings:
    """Check the whole file against the catalog and the stock, without changing anything."""
    findings = _Findings()
    for batch in _batches(read_rows(command.text, command.mode)):
        findings.rows += len(batch)
        findings.add(found for found in batch if isinstance(found, RowError))
        rows = [found for found in batch if isinstance(found, StockRow)]

        def check(transaction: Transaction, rows: list[StockRow] = rows) -> tuple[list[RowError], list[Difference]]:
            placed, errors = _place(transaction, rows)
            beside = beside_book(transaction, command.mode, [key for _, key in placed])
            compared = Comparison(command.mode, placed, _levels(transaction, placed), beside)
            return errors + compared.unbearable(), compared.differences()

        errors, differences = _in_transaction(runtime, command, clock, check)
        findings.add(errors)
        findings.compare(differences)
    if not findings.rows:
        raise InvalidInput("the file has no rows")
    return findings


def _apply(
    runtime: Runtime,
    command: ImportStock,
    record: Mapping[str, Any],
    clock: Callable[[], datetime],
    time_left_seconds: Callable[[], float],
) -> Mapping[str, Any]:
    """Apply what is not applied yet, batch by batch, while there is time. Sending the same file again resumes."""
    start, import_id = 0, UUID(record["id"])
    for batch in _batches(read_rows(command.text, command.mode)):
        end = start + len(batch)
        if end > record["applied_rows"]:
            if time_left_seconds() <= 0:
                break
            rows = [found for found in batch if isinstance(found, StockRow)]

            def work(transaction: Transaction, rows: list[StockRow] = rows, start: int = start) -> Mapping[str, Any]:
                return _apply_batch(transaction, command, import_id, rows, start)

            record = _in_transaction(runtime, command, clock, work)
        start = end
    return record


def _apply_batch(
    transaction: Transaction, command: ImportStock, import_id: UUID, rows: Sequence[StockRow], start: int
) -> Mapping[str, Any]:
    record = _locked(transaction, import_id)
    if record["applied_rows"] != start:
        return record  # another request with the same file has just done this batch
    placed, errors = _place(transaction, rows)
    keys, begun_at = [key for _, key in placed], datetime.fromisoformat(record["created_at"])
    levels = lock_levels(transaction, keys)
    compared = Comparison(command.mode, placed, levels, beside_book(transaction, command.mode, keys, begun_at))
    errors += compared.unbearable()
    if command.mode is ImportMode.LEVELS:
        booked = booked_since(transaction, keys, begun_at)
        errors += [RowError(row.number, "quantity", UNCERTAIN) for row, key in placed if key in booked]
    if errors:
        shown = [{"field": f"row {e.row}, {e.column}", "message": e.message} for e in errors[:ERRORS_SHOWN_MAX]]
        raise Conflict("the stock moved while the file was imported; send it again to go on", errors=shown)
    changes = {key: change for key, change in compared.changes().items() if change}
    if changes:
        movement = "receive" if command.mode is ImportMode.RECEIPTS else "adjustment"
        move_stock(transaction, movement, changes, reference=("import", import_id), reason=command.reason)
    _set_safety_stock(transaction, placed)
    transaction.execute(
        """
        UPDATE inventory.stock_imports
           SET applied_rows = applied_rows + :applied, changed_levels = changed_levels + :changed,
               status = CASE WHEN applied_rows + :applied = rows THEN 'applied' ELSE 'running' END,
               finished_at = CASE WHEN applied_rows + :applied = rows THEN CAST(:now AS timestamptz) END
         WHERE organization_id = :organization_id AND id = :id
        """,
        organization_id=transaction.tenant,
        id=import_id,
        applied=len(rows),
        changed=len(changes),
        now=transaction.now,
    )
    return _locked(transaction, import_id)


def _place(transaction: Transaction, rows: Sequence[StockRow]) -> tuple[Placed, list[RowError]]:
    """Return the rows with their levels, and errors for the rows that name no warehouse or no variant of the shop."""
    warehouses = transaction.rows(
        "SELECT w.code, w.id FROM inventory.warehouses w"
        " WHERE w.organization_id = :organization_id AND w.code = ANY (CAST(:codes AS text[]))",
        organization_id=transaction.tenant,
        codes=sorted({row.warehouse for row in rows}),
    )
    variants = transaction.rows(
        "SELECT v.sku, v.id FROM catalog.variants v WHERE v.organization_id = :organization_id"
        " AND v.deleted_at IS NULL AND v.sku = ANY (CAST(:skus AS text[]))",
        organization_id=transaction.tenant,
        skus=sorted({row.sku for row in rows}),
    )
    by_code, by_sku = {row.code: row.id for row in warehouses}, {row.sku: row.id for row in variants}
    placed: Placed = []
    errors = []
    for row in rows:
        if row.warehouse not in by_code:
            errors.append(RowError(row.number, "warehouse", "there is no such warehouse"))
        elif row.sku not in by_sku:
            errors.append(RowError(row.number, "sku", "there is no such variant"))
        else:
            placed.append((row, (by_code[row.warehouse], by_sku[row.sku])))
    return placed, errors


def _levels(transaction: Transaction, placed: Placed) -> Mapping[LevelKey, Level]:
    """Return the present levels. Those that do not exist yet are empty."""
    rows = transaction.rows(
        """
        SELECT s.warehouse_id, s.variant_id, s.on_hand, s.reserved
          FROM unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[])) AS u (warehouse_id, variant_id)
          JOIN inventory.stock_levels s ON s.organization_id = :organization_id
               AND s.warehouse_id = u.warehouse_id AND s.variant_id = u.variant_id
        """,
        organization_id=transaction.tenant,
        warehouses=[key[0] for _, key in placed],
        variants=[key[1] for _, key in placed],
    )
    found = {(row.warehouse_id, row.variant_id): Level(row.on_hand, row.reserved) for row in rows}
    return {key: found.get(key, _EMPTY) for _, key in placed}


def _set_safety_stock(transaction: Transaction, placed: Placed) -> None:
    said = [(key, row.safety_stock) for row, key in placed if row.safety_stock is not None]
    if not said:
        return
    transaction.execute(
        """
        UPDATE inventory.stock_levels s SET safety_stock = u.safety_stock
          FROM unnest(CAST(:warehouses AS uuid[]), CAST(:variants AS uuid[]), CAST(:safety AS integer[]))
               AS u (warehouse_id, variant_id, safety_stock)
         WHERE s.organization_id = :organization_id AND s.warehouse_id = u.warehouse_id
           AND s.variant_id = u.variant_id AND s.safety_stock <> u.safety_stock
        """,
        organization_id=transaction.tenant,
        warehouses=[key[0] for key, _ in said],
        variants=[key[1] for key, _ in said],
        safety=[safety for _, safety in said],
    )


def _earlier(transaction: Transaction, command: ImportStock, digest: str) -> Mapping[str, Any] | None:
    require(transaction, command.caller, Operation.IMPORT_STOCK)
    rows = transaction.rows(
        """
        SELECT i.id, i.digest, i.mode, i.status, i.rows, i.applied_rows, i.changed_levels, i.bad_rows, i.errors,
               i.reason, i.imported_by, i.created_at, i.finished_at
          FROM inventory.stock_imports i
         WHERE i.organization_id = :organization_id AND i.digest = :digest AND i.mode = :mode
           AND i.status <> 'refused'
        """,
        organization_id=transaction.tenant,
        digest=digest,
        mode=command.mode,
    )
    return _shown(records(rows)[0]) if rows else None


def _record(
    transaction: Transaction, command: ImportStock, digest: str, findings: _Findings, arrived: datetime
) -> Mapping[str, Any]:
    """Record the file's import and return the record. A concurrent request with the same file may have written it."""
    import_id = uuid7(arrived)
    status = ImportStatus.REFUSED if findings.bad_rows else ImportStatus.RUNNING
    made = transaction.execute(
        """
        INSERT INTO inventory.stock_imports (organization_id, id, digest, mode, status, rows, bad_rows, errors, reason,
                                             imported_by, created_at, finished_at)
        VALUES (:organization_id, :id, :digest, :mode, :status, :rows, :bad_rows, CAST(:errors AS jsonb), :reason,
                :imported_by, :arrived, :finished_at)
        ON CONFLICT DO NOTHING
        """,
        organization_id=transaction.tenant,
        id=import_id,
        digest=digest,
        mode=command.mode,
        status=status,
        rows=findings.rows,
        bad_rows=findings.bad_rows,
        errors=json.dumps([asdict(error) for error in findings.errors]),
        reason=command.reason,
        imported_by=transaction.actor,
        arrived=arrived,
        finished_at=transaction.now if findings.bad_rows else None,
    )
    if not made:
        earlier = _earlier(transaction, command, digest)
        if earlier is None:
            raise Conflict("another request with the same file was just refused; send it again")
        return earlier
    return _locked(transaction, import_id)


def _locked(transaction: Transaction, import_id: UUID) -> Mapping[str, Any]:
    rows = transaction.rows(
        """
        SELECT i.id, i.digest, i.mode, i.status, i.rows, i.applied_rows, i.changed_levels, i.bad_rows, i.errors,
               i.reason, i.imported_by, i.created_at, i.finished_at
          FROM inventory.stock_imports i WHERE i.organization_id = :organization_id AND i.id = :id
           FOR NO KEY UPDATE
        """,
        organization_id=transaction.tenant,
        id=import_id,
    )
    return _shown(records(rows)[0])


def _as_if(command: ImportStock, digest: str, findings: _Findings) -> Mapping[str, Any]:
    """Return the result of a dry run. Nothing was written, so it has no id."""
    return {
        "id": None,
        "digest": digest,
        "mode": str(command.mode),
        "status": "checked",
        "rows": findings.rows,
        "applied_rows": 0,
        "changed_levels": findings.changed_levels,
        "bad_rows": findings.bad_rows,
        "errors": [asdict(error) for error in findings.errors],
        "differences": [asdict(difference) for difference in findings.differences],
        "reason": command.reason,
        "imported_by": command.caller.actor,
        "created_at": None,
        "finished_at": None,
    }


def _shown(row: Mapping[str, Any]) -> Mapping[str, Any]:
    instants = {name: row[name] and row[name].isoformat() for name in ("created_at", "finished_at")}
    return {**row, **instants, "id": str(row["id"]), "differences": []}


def _batches(rows: Iterator[StockRow | RowError]) -> Iterator[list[StockRow | RowError]]:
    while batch := list(islice(rows, BATCH_MAX_ROWS)):
        yield batch


def _in_transaction(
    runtime: Runtime, command: ImportStock, clock: Callable[[], datetime], work: Callable[[Transaction], Any]
) -> Any:
    caller = command.caller
    return runtime.database.transact(caller.organization_id, work, now=clock(), actor=caller.actor)
