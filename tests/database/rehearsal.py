"""Flows and statements on a large database, explained and counted as they run, and rolled back at the end.

EXPLAIN shows the plan of a statement. What the functions inside it do shows in PostgreSQL's own counters of the
transaction: sequential scans, rows fetched and index entries read (as in pg_stat_xact_all_tables).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text

from holdfast.database.driver import PipelinedConnection
from holdfast.database.transaction import Database, Result, Transaction, _begin
from holdfast.runtime import Runtime
from local.postgres import Address
from tests.database.driving import runtime_of

LARGE_TABLE_MIN_ROWS = 10_000
"""From this size on, a sequential scan of a table is a mistake."""

_EXPLAINABLE = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_COUNTERS = """
    SELECT c.relkind::text, COALESCE(parent.oid, c.oid)::regclass::text AS name,
           pg_stat_get_xact_numscans(c.oid) AS scans, pg_stat_get_xact_tuples_returned(c.oid) AS returned,
           pg_stat_get_xact_tuples_fetched(c.oid) AS fetched,
           CASE c.relkind WHEN 'r' THEN c.reltuples ELSE 0 END AS rows
      FROM pg_class c
      LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
      LEFT JOIN pg_class parent ON parent.oid = i.inhparent
     WHERE c.relkind IN ('r', 'i') AND c.relnamespace::regnamespace::text = ANY (:schemas)
       AND pg_stat_get_xact_numscans(c.oid) > 0
"""


@dataclass(slots=True)
class Cost:
    """What the transactions read."""

    sequential: dict[str, int] = field(default_factory=dict)
    """Rows that sequential scans read, per table; large tables only."""
    indexes: set[str] = field(default_factory=set)
    rows: int = 0
    """Rows fetched and index entries read, in total over all tables."""
    plans: list[str] = field(default_factory=list)


class Rehearsal(Transaction):
    """A transaction that explains each statement before it runs it, and never commits."""

    def __init__(
        self, connection: PipelinedConnection, now: datetime, organization_id: UUID | None, actor: str
    ) -> None:
        super().__init__(connection, now, organization_id, actor)
        self.plans: list[str] = []

    def _explain(self, statement: str, parameters: Mapping[str, Any]) -> None:
        if _EXPLAINABLE.match(statement):
            rows = super().rows(f"EXPLAIN (COSTS OFF) {statement}", **parameters)
            self.plans.append("\n".join(row[0] for row in rows))

    def rows(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        self._explain(statement, parameters)
        return super().rows(statement, **parameters)

    def row(self, statement: str, **parameters: Any) -> Row[Any] | None:
        self._explain(statement, parameters)
        return super().row(statement, **parameters)

    def value(self, statement: str, **parameters: Any) -> Any:
        self._explain(statement, parameters)
        return super().value(statement, **parameters)

    def execute(self, statement: str, **parameters: Any) -> int:
        self._explain(statement, parameters)
        return super().execute(statement, **parameters)

    def execute_and_commit(self, statement: str, **parameters: Any) -> Any:
        return self.value(statement, **parameters)


class RehearsedDatabase:
    """Stands in for a ``Database`` and adds up what its transactions cost."""

    def __init__(self, engine: Engine, plan_cache_mode: str, schemas: Sequence[str]) -> None:
        self._engine = engine
        self._mode = plan_cache_mode
        self._schemas = list(schemas)
        self.cost = Cost()

    @contextmanager
    def transaction(
        self, organization_id: UUID | None, *, now: datetime, actor: str = "system", one_snapshot: bool = False
    ) -> Iterator[Rehearsal]:
        with self._engine.connect() as connection:
            raw = cast(Any, connection.connection.dbapi_connection)
            raw.execute_simple(_begin(organization_id, actor, now, one_snapshot=one_snapshot))
            raw.execute_simple(f"SET LOCAL plan_cache_mode = {self._mode}")
            rehearsal = Rehearsal(raw, now, organization_id, actor)
            try:
                yield rehearsal
                self._add_up(connection, rehearsal)
            finally:
                raw.execute_simple("ROLLBACK")

    def transact(
        self,
        organization_id: UUID | None,
        work: Callable[[Transaction], Result],
        *,
        now: datetime,
        actor: str = "system",
        one_snapshot: bool = False,
    ) -> Result:
        with self.transaction(organization_id, now=now, actor=actor, one_snapshot=one_snapshot) as transaction:
            return work(transaction)

    def _add_up(self, connection: Connection, rehearsal: Rehearsal) -> None:
        self.cost.plans += rehearsal.plans
        for row in connection.execute(text(_COUNTERS), {"schemas": self._schemas}).all():
            if row.relkind == "i":
                self.cost.indexes.add(row.name)
                self.cost.rows += row.returned
                continue
            if row.rows >= LARGE_TABLE_MIN_ROWS and row.returned:
                self.cost.sequential[row.name] = self.cost.sequential.get(row.name, 0) + row.returned
            self.cost.rows += row.fetched


@contextmanager
def rehearsing(db: Address, role: str, plan_cache_mode: str, schemas: Sequence[str]) -> Iterator[Runtime]:
    """Yield a runtime whose flows really run, on a database that commits nothing."""
    runtime = runtime_of(db, role)
    engine = runtime.database.engine
    runtime.__dict__["database"] = cast(Database, RehearsedDatabase(engine, plan_cache_mode, schemas))
    try:
        yield runtime
    finally:
        engine.dispose()


def cost_of(runtime: Runtime) -> Cost:
    """Return what the flows of a rehearsed runtime have read so far."""
    return cast(RehearsedDatabase, runtime.database).cost
