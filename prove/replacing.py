"""Changes to a database of the proof's own and to the code of its process. What is to be replaced must exist."""

import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from pg8000.native import Connection as Schema


def edit(schema: Schema, function: str, *changes: tuple[str, str]) -> None:
    """Replace fragments of a database function's text. Raises LookupError for a fragment that is not there."""
    rows = schema.run(
        "SELECT p.oid, pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname || '.' || p.proname = :name",
        name=function,
    )
    if not rows or len(rows) != 1:
        raise LookupError(f"there is not one function {function}")
    text: str = rows[0][1]
    for old, new in changes:
        if old not in text:
            raise LookupError(f"{function} does not say any more: {old}")
        text = text.replace(old, new)
    schema.run(text)


def put(owner: object, name: str, replacement: object) -> None:
    """Replace an attribute of a module or class.

    Raises LookupError for a name that no longer exists, and for one that the module has but does not use itself:
    replacing that would change nothing.
    """
    if not hasattr(owner, name):
        raise LookupError(f"{owner} has no {name} any more")
    if isinstance(owner, ModuleType) and not any(name in code.co_names for code in _codes_of(owner)):
        raise LookupError(f"{owner.__name__} does not use {name} any more")
    setattr(owner, name, replacement)


def everywhere(name: str, replacement: object) -> None:
    """Replace a name in every module of the product that has imported it. Raises LookupError if none has."""
    taken = [
        module
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("holdfast.") and name in vars(module)
    ]
    if not taken:
        raise LookupError(f"nothing is called {name} any more")
    for module in taken:
        setattr(module, name, replacement)


def _codes_of(module: ModuleType) -> Iterator[CodeType]:
    """Yield the code of the functions and methods that the module defines, and of everything nested in them."""
    owners: list[object] = [module, *(each for each in vars(module).values() if isinstance(each, type))]
    waiting = [
        function.__code__
        for owner in owners
        for function in vars(owner).values()
        if isinstance(function, FunctionType) and function.__module__ == module.__name__
    ]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
