"""What PostgreSQL counted: statements and their time, rows written, orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, text

from bench.cluster import APP_ROLE, run_sql


@dataclass(frozen=True, slots=True)
class Statements:
    """The top-level statements of a role: their number, and the milliseconds spent planning and executing them.

    What a function or trigger runs inside is part of its statement's time. The flush of COMMIT is included on neither
    side.
    """

    calls: int
    milliseconds: float
    by_query: Mapping[str, float]


def reset(engine: Engine) -> None:
    """Reset all counts."""
    run_sql(engine, "SELECT pg_stat_statements_reset()")


def read(engine: Engine, role: str = APP_ROLE) -> Statements:
    """Return what was counted for a role in this database since the reset."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT s.query, s.calls, s.total_plan_time + s.total_exec_time AS milliseconds
                  FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
                 WHERE r.rolname = :role AND d.datname = current_database() AND s.toplevel
                 ORDER BY milliseconds DESC
            """),
            {"role": role},
        ).all()
    return Statements(
        calls=sum(row.calls for row in rows),
        milliseconds=sum(row.milliseconds for row in rows),
        by_query={" ".join(row.query.split()): row.milliseconds for row in rows},
    )


@dataclass(frozen=True, slots=True)
class Nested:
    """A statement inside a function: how often it ran, and its milliseconds of planning and of execution."""

    query: str
    calls: int
    plan_ms: float
    execution_ms: float


def nested(engine: Engine, limit: int) -> list[Nested]:
    """Return the most expensive statements inside functions. Needs ``pg_stat_statements.track = all``."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT query, calls, total_plan_time AS plan_ms, total_exec_time AS execution_ms
                  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                 WHERE d.datname = current_database() AND NOT s.toplevel
                 ORDER BY total_plan_time + total_exec_time DESC LIMIT :limit
            """),
            {"limit": limit},
        ).all()
    return [Nested(" ".join(row.query.split()), row.calls, row.plan_ms, row.execution_ms) for row in rows]


def wait_for_role_to_leave(engine: Engine, role: str = APP_ROLE) -> None:
    """Wait until no session of the role is left, because only then everything it did is counted."""
    run_sql(
        engine,
        """
        DO $$ BEGIN
            FOR attempt IN 1 .. 500 LOOP
                PERFORM pg_stat_clear_snapshot();
                EXIT WHEN NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE usename = 'ROLE');
                PERFORM pg_sleep(0.01);
            END LOOP;
        END $$
        """.replace("ROLE", role),
    )


def writes(engine: Engine) -> dict[str, tuple[int, int]]:
    """Return the rows inserted and updated so far, by table (partitions under their parent's name)."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT COALESCE(i.inhparent::regclass, s.relid::regclass)::text AS name,
                       sum(n_tup_ins) AS made, sum(n_tup_upd) AS changed
                  FROM pg_stat_user_tables s LEFT JOIN pg_inherits i ON i.inhrelid = s.relid
                 GROUP BY 1
            """)
        ).all()
    return {row.name: (int(row.made), int(row.changed)) for row in rows}


def per_order(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]], orders: int
) -> dict[str, tuple[float, float]]:
    """Return the rows inserted and updated per order, for the tables that were written at all."""
    changes = {
        name: ((made - before[name][0]) / orders, (changed - before[name][1]) / orders)
        for name, (made, changed) in after.items()
    }
    return {name: change for name, change in changes.items() if change != (0, 0)}


def count(engine: Engine, query: str, **parameters: object) -> int:
    """Return the single number of a query, as superuser."""
    with engine.connect() as connection:
        return int(connection.execute(text(query), parameters).scalar_one())
