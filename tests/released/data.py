"""The rows of a release: a furnished shop as the release's own code left it, and the way back into a database."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pg8000.native import Connection

from holdfast.database.migrations.run import upgrade
from local.postgres import Address, Server
from tests.database.acting import connected, tables
from tests.premises import ROLE_PASSWORD

FOLDER: Final = Path(__file__).parent
ROWS: Final = FOLDER / "rows.json.gz"
CONTRACT: Final = FOLDER / "contract.json.gz"
DOCUMENT: Final = FOLDER / "openapi.json.gz"


def rows_of(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table of the application that has any."""
    found = {
        table: [row[0] for row in connection.run(f"SELECT to_jsonb(t) FROM {table} AS t")]
        for table in tables(connection)
    }
    return {table: rows for table, rows in found.items() if rows}


def keep(path: Path, what: Any) -> None:
    """Write a value to a file. The same value always gives the same bytes."""
    text = json.dumps(what, sort_keys=True, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def read(path: Path) -> Any:
    """Return what ``keep`` wrote."""
    return json.loads(gzip.decompress(path.read_bytes()))


def restore(server: Server, owner: Address, release: Mapping[str, Any]) -> None:
    """Create the release's schema in an empty database, and fill it with the release's rows."""
    upgrade(owner.url, role_password=ROLE_PASSWORD, revision=release["revision"])
    with connected(replace(server.admin, database=owner.database)) as connection:
        since = datetime.fromisoformat(release["made_at"]).date() - timedelta(days=31)
        connection.run("SELECT operations.make_partitions(CAST(:since AS date), 4)", since=since)
        connection.run("BEGIN; SET LOCAL session_replication_role = replica")
        for table, rows in release["rows"].items():
            if connection.run(f"SELECT 1 FROM {table} LIMIT 1"):
                continue  # the migrations themselves have filled it
            columns = connection.run(
                "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0"
                " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                t=table,
            )
            names = ", ".join(name for [name] in columns)
            connection.run(
                f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {names}"
                f" FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb))",
                rows=json.dumps(rows),
            )
        connection.run("COMMIT")
