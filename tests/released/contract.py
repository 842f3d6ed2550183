"""What a release calls in the database, and whether a newer schema still answers it.

During a deployment the functions of the release run on the schema of the next one, and after a rollback they do so for
as long as it takes. So whatever a role of the application could call, read or write at the release must still be there
as it was: functions with their arguments, columns with their types, and the rights to both. No new column may require a
value that old code does not provide.
"""

from collections.abc import Mapping
from typing import Any

from pg8000.native import Connection

from tests.database.acting import SCHEMAS

Contract = Mapping[str, Any]
_ROLES = "ARRAY(SELECT r FROM unnest(ARRAY['holdfast_app', 'holdfast_system']) AS r WHERE {right} ORDER BY 1)"
_FUNCTIONS = f"""
    SELECT n.nspname || '.' || p.proname, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t),
           p.pronargdefaults, pg_get_function_result(p.oid),
           {_ROLES.format(right="has_function_privilege(r, p.oid, 'EXECUTE')")}
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = ANY (:schemas) AND p.prorettype <> 'trigger'::regtype
"""
_COLUMNS = f"""
    SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '',
           {_ROLES.format(right="has_column_privilege(r, c.oid, a.attnum, 'SELECT')")},
           {_ROLES.format(right="has_column_privilege(r, c.oid, a.attnum, 'INSERT')")},
           {_ROLES.format(right="has_column_privilege(r, c.oid, a.attnum, 'UPDATE')")},
           {_ROLES.format(right="has_table_privilege(r, c.oid, 'DELETE')")}
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE n.nspname = ANY (:schemas) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND a.attnum > 0 AND NOT a.attisdropped
"""


def contract_of(connection: Connection) -> Contract:
    """Return what the schema of a database offers to the roles of the application."""
    functions = connection.run(_FUNCTIONS, schemas=list(SCHEMAS))
    columns = connection.run(_COLUMNS, schemas=list(SCHEMAS))
    return {
        "functions": {
            name: {"arguments": arguments, "defaults": defaults, "returns": returns, "execute": execute}
            for name, arguments, defaults, returns, execute in sorted(functions)
            if execute
        },
        "columns": {
            f"{table}.{name}": {
                "type": type_,
                "must_be_given": must_be_given,
                "select": select,
                "insert": insert,
                "update": update,
                "delete": delete,
            }
            for table, name, type_, must_be_given, select, insert, update, delete in sorted(columns)
            if select or insert or update or delete
        },
    }


def broken(old: Contract, new: Contract) -> list[str]:
    """Return what would break code of the release on the newer schema, in words."""
    return [*_functions(old["functions"], new["functions"]), *_columns(old["columns"], new["columns"])]


def _functions(old: Contract, new: Contract) -> list[str]:
    told = []
    for name, was in old.items():
        now = new.get(name)
        if now is None:
            told.append(f"{name} is not there for the application")
            continue
        given = len(was["arguments"])
        needed = len(now["arguments"]) - now["defaults"]
        if now["arguments"][:given] != was["arguments"] or needed > given:
            told.append(f"{name} takes {now['arguments']}, and is given {was['arguments']}")
        if now["returns"] != was["returns"]:
            told.append(f"{name} answers {now['returns']}, not {was['returns']}")
        told += [f"{role} may not call {name}" for role in set(was["execute"]) - set(now["execute"])]
    return told


def _columns(old: Contract, new: Contract) -> list[str]:
    told = []
    written = {name.rpartition(".")[0] for name, was in old.items() if was["insert"]}
    for name, was in old.items():
        now = new.get(name)
        if now is None:
            told.append(f"{name} is not there for the application")
            continue
        if now["type"] != was["type"]:
            told.append(f"{name} is {now['type']}, not {was['type']}")
        if now["must_be_given"] and not was["must_be_given"]:
            told.append(f"{name} must be given")
        for right in ("select", "insert", "update", "delete"):
            told += [f"{role} may not {right} {name}" for role in set(was[right]) - set(now[right])]
    for name, now in new.items():
        if name not in old and now["must_be_given"] and name.rpartition(".")[0] in written:
            told.append(f"{name} is new and must be given")
    return told
