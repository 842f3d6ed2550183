"""What the analysis reads from the code about a function is what the function can do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.permissions import CALLS
from tests.architecture.code_reach import LOCAL_SIGNERS, PACKAGE, ROOT, Reach, ports, reach

FOLDERS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
SOURCES = sorted([*(PACKAGE / "holdfast").rglob("*.py"), *(ROOT / "functions").glob("*/app.py")])


def called(reached: Reach) -> set[str]:
    return {f"{call.service} {call.operation}" for call in reached.calls}


@pytest.mark.parametrize(
    ("folder", "does", "does_not"),
    [
        # Found through a route, a flow and the port that it uses, without what other functions of the module do.
        ("checkout", {"geo-places Geocode", "secretsmanager GetSecretValue"}, {"events PutEvents", "sesv2 SendEmail"}),
        # A function that is passed on and not called in place.
        ("dead_letter_queues", {"rds GenerateDbAuthToken"}, {"sqs SendMessage", "sns Publish"}),
        ("outbox_relay", {"events PutEvents"}, {"sqs SendMessage", "sns Publish"}),
        # A port with a branch that only the local system takes.
        ("orders", {"lambda Invoke"}, {"s3 GetObject"}),
        ("cold_export", {"s3 GetObject", "s3 PutObject"}, {"lambda Invoke"}),
        # A client that the handler itself makes.
        ("migrate", {"secretsmanager GetSecretValue", "rds GenerateDbAuthToken"}, {"sqs SendMessage", "lambda Invoke"}),
        ("stock", {"rds GenerateDbAuthToken"}, {"secretsmanager GetSecretValue", "sqs SendMessage"}),
    ],
)
def test_the_calls_of_a_function_are_found(folder: str, does: set[str], does_not: set[str]) -> None:
    assert does <= called(reach(folder))
    assert not does_not & called(reach(folder))


def test_a_secret_is_known_by_who_names_it() -> None:
    """A setting names it, or ('') a row of the database, since every account at a gateway has its own secret."""
    assert reach("notifications").secrets == {"address_review_link_secret"}
    assert reach("archival").secrets == {"archive_key_secret"}
    assert reach("payment_methods").secrets == {""}
    assert reach("address_reviews").secrets == {"", "address_review_link_secret"}


def clients(path: Path) -> Iterator[str]:
    for part in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Attribute)
            and part.func.attr in {"client", "resource"}
        ):
            yield str(part.args[0].value) if part.args and isinstance(part.args[0], ast.Constant) else ""


def test_no_client_of_aws_is_out_of_its_sight() -> None:
    """Every client that the code makes belongs to a function, so none of its calls goes unnoticed."""
    made = {service for path in SOURCES for service in clients(path)}
    reached = {call.service for folder in FOLDERS for call in reach(folder).calls}
    assert made == reached


def test_every_listed_call_is_made_by_somebody() -> None:
    """Otherwise calls that nobody makes any more would stay in the roles' vocabulary forever."""
    reached = {(call.service, call.operation) for folder in FOLDERS for call in reach(folder).calls}
    signed = {(service, operation) for (service, _), operation in LOCAL_SIGNERS.items()}
    assert reached == set(CALLS) | signed


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_runtime_goes_by_one_name(path: Path) -> None:
    """Ports are found as attributes of `runtime`; under another name they would be overlooked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for part in ast.walk(tree):
        if isinstance(part, ast.arg) and part.annotation is not None and "Runtime" in ast.unparse(part.annotation):
            assert part.arg in {"runtime", "replacement"}, f"line {part.lineno}: call it runtime"
        if isinstance(part, ast.Assign) and ast.unparse(part.value) in {"runtime", "runtime()"}:
            names = {ast.unparse(target).rpartition(".")[2].lstrip("_") for target in part.targets}
            assert names == {"runtime"}, f"line {part.lineno}: call it runtime"
        if isinstance(part, ast.Call) and ast.unparse(part.func) == "getattr":
            assert "runtime" not in ast.unparse(part.args[0]), f"line {part.lineno}: name the port"


def test_every_port_is_used_by_a_function() -> None:
    assert {port for folder in FOLDERS for port in reach(folder).ports} == set(ports())
