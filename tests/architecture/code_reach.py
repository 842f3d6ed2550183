"""What a function's handler can reach, found by reading the code: which ports of the runtime, which calls of AWS.

A node is a top-level name of a module: a function, a class with all its methods, or a constant. A node reaches whatever
its text names, whether it calls it, passes it on or keeps it in a table; annotations do not count. The runtime counts
port by port, since a function builds only the ports that it uses. What is found therefore includes all that can happen.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from botocore import xform_name
from botocore.session import get_session

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGE: Final = ROOT / "layers" / "holdfast"
RUNTIME: Final = "holdfast.runtime"
LOCAL_SIGNERS: Final = {("rds", "generate_db_auth_token"): "GenerateDbAuthToken"}
"""What a client does without calling the service, so it is missing from botocore's model."""

Node = tuple[str, str]


@dataclass(frozen=True, slots=True)
class AwsCall:
    """An operation of a service, and the settings from which the code around it takes the resource."""

    service: str
    operation: str
    settings: frozenset[str]


@dataclass(slots=True)
class Facts:
    """What the text of one node mentions."""

    names: set[Node] = field(default_factory=set)
    ports: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    operations: set[tuple[str, str]] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    """The settings that name a secret which is read; '' stands for a secret that a row of the database names."""


@dataclass(slots=True)
class Reach:
    """What a function can do."""

    ports: set[str] = field(default_factory=set)
    calls: set[AwsCall] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)


class Module:
    """A source file: what it defines, and where the names that it imports come from."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.defined: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for statement in self.tree.body:
            for defined in _defines(statement):
                self.defined.setdefault(defined, []).append(statement)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.imported |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                self.imported |= {alias.asname: (alias.name, "") for alias in node.names if alias.asname}


def _defines(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
        return []
    targets = {
        node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    # Code that only runs at import, such as an `if` or a loop, belongs to the module itself.
    return sorted(targets) or ["<module>"]


@cache
def module(name: str) -> Module | None:
    """Return a module of the product, or `None` for a module that is not part of it."""
    if name.startswith("functions."):
        path = ROOT / "functions" / name.split(".")[1] / "app.py"
    else:
        below = PACKAGE / Path(*name.split("."))
        path = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
    return Module(name, path) if path.is_file() else None


def resolve(where: Module, name: str) -> Node | None:
    """Return the node that a name refers to: (module, name), or (module, '') for a module itself."""
    if name in where.defined:
        return where.name, name
    if name not in where.imported:
        return None
    source, original = where.imported[name]
    if original and (inner := module(f"{source}.{original}")) is not None:
        return inner.name, ""
    origin = module(source)
    if origin is None:
        return None
    return resolve(origin, original) if original else (source, "")


@cache
def facts(node: Node) -> Facts:
    """Return what the text of a node mentions."""
    where, name = node
    owner, _, port = name.partition(".")
    home = module(where)
    assert home is not None, f"{where} is no module of the product"
    found = Facts()
    for statement in home.defined[owner]:
        text: ast.AST = statement
        if port:
            assert isinstance(statement, ast.ClassDef)
            text = next(member for member in statement.body if getattr(member, "name", "") == port)
        _read(text, home, found, of_runtime=bool(port))
    _match_operations(home, name, found)
    return found


@cache
def ports() -> frozenset[str]:
    """Return every port of the runtime."""
    home = module(RUNTIME)
    assert home is not None
    (runtime,) = home.defined["Runtime"]
    assert isinstance(runtime, ast.ClassDef)
    return frozenset(member.name for member in runtime.body if isinstance(member, ast.FunctionDef))


def _executed(text: ast.AST, *, of_runtime: bool) -> Iterator[ast.AST]:
    """Yield every part of a text except annotations and what cannot happen in a deployment (see `_settled`)."""
    yield text
    for name, value in ast.iter_fields(text):
        if name in {"annotation", "returns"}:
            continue
        children = value if isinstance(value, list) else [value]
        for child in children:
            if not isinstance(child, ast.AST):
                continue
            yield from _executed(child, of_runtime=of_runtime)
            if of_runtime and _settled(child):
                break


def _settled(statement: ast.AST) -> bool:
    """Return whether a statement is `if self.settings.x: return ...`.

    A deployment always has the setting, so what follows the statement is for the local system. test_permissions.py
    checks that a deployment has it.
    """
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Attribute)
        and ast.unparse(statement.test).startswith("self.settings.")
        and isinstance(statement.body[-1], ast.Return)
    )


def settled_settings() -> set[str]:
    """Return the settings that `_settled` takes for granted."""
    home = module(RUNTIME)
    assert home is not None
    return {
        ast.unparse(node.test).split(".")[-1]
        for node in ast.walk(home.tree)
        if isinstance(node, ast.If) and _settled(node)
    }


def _read(text: ast.AST, home: Module, found: Facts, *, of_runtime: bool) -> None:
    for part in _executed(text, of_runtime=of_runtime):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            target = resolve(home, part.id)
            if target is not None and target[1]:
                found.names.add(target)
        elif isinstance(part, ast.Attribute):
            base = ast.unparse(part.value)
            holder = base.removesuffix("()").rpartition(".")[2].lstrip("_")
            if part.attr in ports() and (holder == "runtime" or (of_runtime and base == "self")):
                found.ports.add(part.attr)
            if holder == "settings":
                found.settings.add(part.attr)
            if isinstance(part.value, ast.Name):
                aliased = resolve(home, part.value.id)
                if aliased is not None and not aliased[1] and part.attr in getattr(module(aliased[0]), "defined", ()):
                    found.names.add((aliased[0], part.attr))
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            base = ast.unparse(part.func.value)
            if part.func.attr == "client" and base.startswith("boto3"):
                assert isinstance(part.args[0], ast.Constant), f"{home.name}: name the service of a client in place"
                found.services.add(str(part.args[0].value))
            if part.func.attr == "read" and base.rpartition(".")[2].lstrip("_") == "secrets":
                reference = ast.unparse(part.args[0])
                found.secrets.add(reference.rpartition(".")[2] if "settings." in reference else "")


def _match_operations(home: Module, name: str, found: Facts) -> None:
    """Find the operations that are called on the clients made in the same node.

    Raises AssertionError if it finds none or an unknown one, since then this analysis has lost track of a client.
    """
    if not found.services:
        return
    (service,) = found.services
    operations = _operations(service)
    called: set[str] = set()
    for statement in home.defined[name.partition(".")[0]]:
        for part in ast.walk(statement):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
                base = ast.unparse(part.func.value)
                if base in {"client", "self._client"} or base.startswith("boto3.client("):
                    called.add(part.func.attr)
    assert called, (
        f"{home.name}.{name} makes a client of {service}: call it in the same function or class, as `client`."
    )
    assert called <= set(operations), f"{home.name}.{name}: {service} has no {sorted(called - set(operations))}."
    found.operations |= {(service, operations[method]) for method in called}


@cache
def _operations(service: str) -> dict[str, str]:
    """Return the methods of a client and the operations behind them."""
    model = get_session().get_service_model(service)
    methods = {xform_name(operation): operation for operation in model.operation_names}
    return methods | {method: operation for (owner, method), operation in LOCAL_SIGNERS.items() if owner == service}


def reach(function_folder: str) -> Reach:
    """Return everything that the handler of `functions/<folder>/app.py` can do."""
    app = module(f"functions.{function_folder}")
    assert app is not None, f"functions/{function_folder}/app.py does not exist"
    reached = Reach()
    seen: set[tuple[Node, str]] = set()
    # Pairs of a node and the port of the runtime through which it was reached ('' for none).
    waiting: list[tuple[Node, str]] = [((app.name, name), "") for name in app.defined]
    while waiting:
        item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        node, port = item
        if node == (RUNTIME, "Runtime"):
            continue  # only its ports count
        said = facts(node)
        reached.ports |= said.ports
        reached.secrets |= said.secrets
        around = facts((RUNTIME, f"Runtime.{port}")).settings if port else said.settings
        reached.calls |= {AwsCall(service, operation, frozenset(around)) for service, operation in said.operations}
        waiting += [(name, port) for name in said.names]
        waiting += [((RUNTIME, f"Runtime.{named}"), named) for named in said.ports]
        for name in {node[0], *(named[0] for named in said.names)}:
            if "<module>" in getattr(module(name), "defined", ()):
                waiting.append(((name, "<module>"), port))
    return reached


@cache
def environment_variables() -> dict[str, str]:
    """Return the environment variable behind every setting, according to settings.py."""
    home = module("holdfast.settings")
    assert home is not None
    found: dict[str, str] = {}
    for part in ast.walk(home.tree):
        if isinstance(part, ast.keyword) and part.arg:
            texts = [
                each.value
                for each in ast.walk(part.value)
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value.isupper()
            ]
            if len(texts) == 1:
                found[part.arg] = texts[0]
    return found
