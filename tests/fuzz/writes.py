"""What a request has written: exact, and reported by the database itself.

A trigger on every table notes what a statement touched, in the statement's own transaction: what is rolled back leaves
no note, and what was committed cannot hide. The counters of the statistics collector come late and include what was
rolled back, and a comparison of row counts does not notice an update.
"""

from dataclasses import dataclass
from typing import Final

from tests.house import House

_NOTEBOOK: Final = """
    CREATE SCHEMA fuzz;
    CREATE UNLOGGED TABLE fuzz.notes (written text NOT NULL, command text NOT NULL);
    CREATE FUNCTION fuzz.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM touched) THEN
            INSERT INTO fuzz.notes VALUES (TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, lower(TG_OP));
        END IF;
        RETURN NULL;
    END $$;
"""
_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%'
       AND n.nspname NOT IN ('information_schema', 'fuzz', 'public') ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Written:
    """A table, and what was done to its rows."""

    table: str
    command: str

    def __str__(self) -> str:
        return f"{self.command} {self.table}"


class Notebook:
    """Records writes in a database. It is opened once and read after every request."""

    def __init__(self, house: House) -> None:
        self._house = house
        house.sql(_NOTEBOOK)
        tables = [row["name"] for row in house.rows(_TABLES)]
        for table in tables:
            for command, side in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
                house.sql(
                    f"CREATE TRIGGER zz_fuzz_{command.lower()} AFTER {command} ON {table}"
                    f" REFERENCING {side} TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION fuzz.note()"
                )
        self.tables = len(tables)

    def tear_off(self) -> frozenset[Written]:
        """Return what was committed since the last call."""
        rows = self._house.rows("DELETE FROM fuzz.notes RETURNING written, command")
        return frozenset(Written(row["written"], row["command"]) for row in rows)
