"""Every database function that is called exists with that number of arguments, and every one that exists is called."""

import ast
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from tests.database.acting import SCHEMAS, acting
from tests.database.conftest import TwoShops

SOURCES = Path(str(files("holdfast")))
_CALL = re.compile(rf"\b((?:{'|'.join(SCHEMAS)})\.\w+)\(")
_RELATION = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:ONLY\s+)?((?:{'|'.join(SCHEMAS)})\.\w+)")

Call = tuple[str, int]


def texts() -> Iterator[tuple[str, str]]:
    """Yield (where, text) for every string literal of the layer."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(SOURCES)}:{node.lineno}", node.value


def calls(sql: str) -> Iterator[Call]:
    """Yield (function, number of arguments) for every call of one of our functions."""
    for found in _CALL.finditer(sql):
        if re.search(r"(INTO|TABLE|ON|FUNCTION|PROCEDURE)\s+$", sql[: found.start()]):
            continue
        depth, commas, filled = 1, 0, False
        for letter in sql[found.end() :]:
            depth += (letter in "([") - (letter in ")]")
            if depth == 0:
                break
            commas += letter == "," and depth == 1
            filled = filled or not letter.isspace()
        else:
            continue
        yield found[1], commas + 1 if filled else 0


def known(shops: TwoShops) -> dict[str, tuple[int, int, str]]:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            "SELECT n.nspname || '.' || p.proname, p.pronargs - p.pronargdefaults, p.pronargs, p.prosrc FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    assert len({row[0] for row in rows}) == len(rows), "no function is overloaded: the number of arguments tells"
    return {name: (least, most, source) for name, least, most, source in rows}


def test_every_function_that_is_called_exists_with_that_many_arguments(shops: TwoShops) -> None:
    functions = known(shops)
    spoken = [(where, call) for where, sql in texts() for call in calls(sql)]
    spoken += [(name, call) for name, (_, _, source) in functions.items() for call in calls(source)]
    assert len(spoken) > 25
    for where, (name, arguments) in spoken:
        assert name in functions, f"{where} calls {name}"
        least, most, _ = functions[name]
        assert least <= arguments <= most, f"{where} calls {name} with {arguments} arguments"


def test_every_table_that_is_named_exists(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace::regnamespace::text = ANY (:schemas)",
            schemas=list(SCHEMAS),
        )
    tables = {row[0] for row in rows}
    functions = known(shops)
    for where, sql in [*texts(), *((name, source) for name, (_, _, source) in functions.items())]:
        for found in _RELATION.finditer(sql):
            assert found[1] in tables or found[1] in functions, f"{where} names {found[1]}"


def test_no_function_is_there_for_nobody(shops: TwoShops) -> None:
    functions = known(shops)
    with acting(shops.superuser) as connection:
        triggers = connection.run("SELECT DISTINCT tgfoid::regproc::text FROM pg_trigger WHERE NOT tgisinternal")
    migrations = Path(str(files("holdfast.database.migrations"))) / "sql"
    scripts = "".join(path.read_text() for path in migrations.glob("*.up.sql"))
    called = {name for _, sql in texts() for name, _ in calls(sql)}
    called |= {name for _, _, source in functions.values() for name, _ in calls(source)}
    called |= {name for name in functions if re.search(rf"CALL {re.escape(name)}\(", scripts)}
    assert set(functions) - called - {row[0] for row in triggers} == set()
