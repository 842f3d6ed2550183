"""Conventions as tests: the build says what a reviewer would say, and why."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "holdfast" / "holdfast"
SOURCES = sorted(
    path
    for folder in (PACKAGE, ROOT / "functions", ROOT / "generate", ROOT / "local", ROOT / "prove")
    for path in folder.rglob("*.py")
)
EVERYWHERE = sorted(
    [*SOURCES, *(path for folder in ("artefacts", "bench", "smoke", "tests") for path in (ROOT / folder).rglob("*.py"))]
)
VAGUE = {"utils", "helpers", "common", "misc", "shared", "service", "services", "manager"}
FILE_MAX_LINES = 400
FUNCTION_MAX_LINES = 60
HANDLER_MAX_LINES = 70


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", EVERYWHERE, ids=named)
def test_a_file_tells_one_story(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_MAX_LINES, f"{named(path)} has {lines} lines: split it where its second story begins"
    assert path.stem not in VAGUE, f"{named(path)}: name it for what is inside"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    for function in functions_of(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= FUNCTION_MAX_LINES, f"{named(path)}:{function.lineno} {function.name} has {length} lines"


@pytest.mark.parametrize("path", sorted((ROOT / "functions").glob("*/app.py")), ids=named)
def test_a_handler_is_parse_one_flow_answer(path: Path) -> None:
    tree = ast.parse(path.read_text())
    code = sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in tree.body if is_code(node))
    assert code <= HANDLER_MAX_LINES, f"{named(path)}: {code} lines of code; a rule in here belongs into a flow"
    modules = {m for m in imports_of(tree) if m.startswith("holdfast.")}
    reached = {module.split(".")[1] for module in modules}
    allowed = {
        "web",
        "flows",
        "runtime",
        "values",
        "addresses",
        "notifications",
        "orders",
        "inventory",
        "payments",
        "settings",
        "database",
    }
    assert reached <= allowed, f"{named(path)} reaches for {reached - allowed}: a handler calls flows"


def test_only_settings_read_the_environment() -> None:
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "functions").rglob("*.py")]:
        if path == PACKAGE / "settings.py":
            continue
        text = path.read_text()
        assert not re.search(r"\bos\.(environ|getenv)\b", text), f"{named(path)}: ask `holdfast.settings` instead"


def test_only_the_transaction_commits() -> None:
    allowed = {PACKAGE / "database" / "transaction.py", PACKAGE / "database" / "driver.py"}
    for path in PACKAGE.rglob("*.py"):
        if path in allowed or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found = node.func.attr in {"commit", "rollback", "begin"}
                assert not found, f"{named(path)}:{node.lineno}: transactions begin and end in database/transaction.py"


def test_domains_are_told_the_time() -> None:
    for domain in (
        "addresses",
        "checkout",
        "fulfillment",
        "inventory",
        "notifications",
        "orders",
        "payments",
        "tenancy",
        "values",
        "flows",
    ):
        for path in (PACKAGE / domain).rglob("*.py"):
            found = re.search(r"\b(datetime\.now|utcnow|date\.today|time\.time)\(", path.read_text())
            assert not found, f"{named(path)}: pass `now` in; a clock in here cannot be turned by a test"


def test_sql_is_never_glued_from_input() -> None:
    """Statements are literals; the few f-strings join literals from their own module."""
    allowed = {"list_orders.py"}
    for path in (PACKAGE / "flows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) and path.name not in allowed:
                literal = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
                found = re.search(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b", literal)
                assert not found, f"{named(path)}:{node.lineno}: use parameters, not an f-string"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_exception_from_a_rule_says_why(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if "# noqa" in line:
            explained = re.search(r"# noqa: [A-Z0-9, ]+(--|\()\s*\S", line) or "PLW0603" in line or "PLC0415" in line
            assert explained, f"{named(path)}:{number}: say after the code why the rule does not hold here"
        assert "# type: ignore\n" not in line + "\n", f"{named(path)}:{number}: name the code that is ignored"


def test_every_public_module_says_what_it_is_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name == "__init__.py" and not path.read_text().strip():
            continue
        assert ast.get_docstring(ast.parse(path.read_text())), f"{named(path)} has no docstring"


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def is_code(node: ast.stmt) -> bool:
    return not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)
