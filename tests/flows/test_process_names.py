"""Every process that calls a person is in one list, with a sentence and a runbook."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.flows.operations.call_person import call_person
from holdfast.flows.operations.process_names import MEANING, Process, runbook
from holdfast.values.ids import uuid7
from tests.house import House

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "layers" / "holdfast" / "holdfast"
MAY_INSERT = {
    "flows/operations/call_person.py",
    "flows/money/money_differences.py",
    "database/migrations/sql/0009_settlement.up.sql",
    "database/migrations/sql/0033_money_given_up.down.sql",
    "database/migrations/sql/0033_money_given_up.up.sql",
    "database/migrations/sql/0035_shoppers_words.down.sql",
    "database/migrations/sql/0035_shoppers_words.up.sql",
    "database/migrations/sql/0036_failed_refunds.down.sql",
    "database/migrations/sql/0036_failed_refunds.up.sql",
}
"""The one way in, and the two statements that write a call for a person together with what caused it."""
TAKES_A_PROCESS = {"call_person", "_with_failure"}
"""Functions whose second argument is a process."""
CARRIES_CALLS = {"failures", "failure", "resolved"}
"""The fields and variables in which a settlement carries its calls for a person to ``checkout.settle``."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((CODE / "flows").rglob("*.py")):
        yield str(path.relative_to(CODE)), ast.parse(path.read_text())


def is_member(node: ast.expr, module: ast.Module) -> bool:
    """Return whether this names a process: ``Process.X``, a constant or parameter that is one, or a choice of two."""
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == "Process" and node.attr in Process.__members__
    if isinstance(node, ast.IfExp):
        return is_member(node.body, module) and is_member(node.orelse, module)
    if isinstance(node, ast.Name):
        values = [
            each.value
            for each in ast.walk(module)
            if isinstance(each, ast.Assign | ast.AnnAssign)
            and each.value is not None
            and any(
                isinstance(target, ast.Name) and target.id == node.id
                for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
            )
        ]
        typed = [
            isinstance(each.annotation, ast.Name) and each.annotation.id == "Process"
            for each in ast.walk(module)
            if isinstance(each, ast.arg) and each.arg == node.id
        ]
        return bool(values or typed) and all(typed) and all(is_member(value, module) for value in values)
    return False


def named_by(module: ast.Module) -> Iterator[ast.expr]:
    """Yield the expressions that name a process: in calls that take one, and first in what a settlement carries."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TAKES_A_PROCESS:
            yield node.args[1]
        value = node.value if isinstance(node, ast.keyword) and node.arg in CARRIES_CALLS else None
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["failure"]:
            value = ast.Tuple([node.value]) if isinstance(node.value, ast.Tuple) else None
        for call in value.elts if isinstance(value, ast.Tuple) else ():
            if isinstance(call, ast.Tuple):
                yield call.elts[0]


def test_every_producer_is_in_the_list() -> None:
    found = [(name, module, node) for name, module in modules() for node in named_by(module)]
    assert len(found) >= 10, "the walk sees the producers"
    assert [(name, ast.unparse(node)) for name, module, node in found if not is_member(node, module)] == []


def test_an_unknown_name_is_seen_by_the_walk() -> None:
    module = ast.parse(
        'OTHER = "Other"\ncall_person(t, "Typo", i, "x")\ncall_person(t, OTHER, i, "x")\n'
        'call_person(t, Process.TYPO, i, "x")\nreplace(s, failures=(("Typo", d, {}),))\n'
        '_with_failure(s, "Typo", d, p)\ndef f(process: str): call_person(t, process, i, "x")'
    )
    nodes = list(named_by(module))
    assert len(nodes) == 6
    assert not any(is_member(node, module) for node in nodes)


def test_nobody_goes_past_the_one_way_in() -> None:
    insert = re.compile(r"INSERT INTO operations\.process_failures\b")
    found = {
        str(path.relative_to(CODE))
        for path in [*CODE.rglob("*.py"), *CODE.rglob("*.sql")]
        if insert.search(path.read_text())
    }
    assert found == MAY_INSERT


@pytest.mark.parametrize("process", Process)
def test_a_process_has_a_producer_a_sentence_and_a_runbook(process: Process) -> None:
    assert MEANING[process].endswith(".")
    document, _, anchor = runbook(process).partition("#")
    assert f'<a id="{anchor}"></a>`{process}`' in (ROOT / document).read_text()
    producers = [name for name, module in modules() if f"Process.{process.name}" in ast.unparse(module)]
    assert [name for name in producers if name != "flows/operations/process_names.py"] != []


def test_a_name_that_is_not_in_the_list_is_refused_where_it_is_called(house: House) -> None:
    now = house.clock()
    with (
        pytest.raises(ValueError, match="Typo"),
        house.system.database.transaction(house.organization_id, now=now, actor="system:test") as transaction,
    ):
        call_person(transaction, "Typo", uuid7(now), "nobody knows")  # type: ignore[arg-type]
    assert house.failures() == []


def test_the_same_trouble_is_one_open_failure_in_one_form_whoever_calls(house: House) -> None:
    now = house.clock()
    about = uuid7(now)
    with house.system.database.transaction(house.organization_id, now=now, actor="system:test") as transaction:
        call_person(transaction, Process.LATE_PAYMENT, about, "first", {"amount": 1})
        call_person(transaction, Process.LATE_PAYMENT, about, "second", {"amount": 2})
        call_person(transaction, Process.RETURN_MONEY, about, "first", {"amount": 1})
        call_person(transaction, Process.RETURN_MONEY, about, "second", {"amount": 2}, renews=True)
    rows = house.rows(
        "SELECT process_name, details, payload, version FROM operations.process_failures ORDER BY process_name"
    )
    assert [(row["details"], row["payload"], row["version"]) for row in rows] == [
        ("first", {"amount": 1}, 1),
        ("second", {"amount": 2}, 1),
    ]
    history = house.rows("SELECT action, changed_by FROM operations.process_failure_history")
    assert [(row["action"], row["changed_by"]) for row in history] == [("opened", "system:test")] * 2
