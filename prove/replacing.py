"""Changes to a database of the proof's own and to the code of its process. What is to be replaced has to be there."""

import sys

from pg8000.native import Connection as Schema


def edit(schema: Schema, function: str, *changes: tuple[str, str]) -> None:
    """Replace fragments of a function's text. Raises LookupError for one that is not there."""
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
    """In the place of what is there. Raises LookupError for a name that is not there any more."""
    if not hasattr(owner, name):
        raise LookupError(f"{owner} has no {name} any more")
    setattr(owner, name, replacement)


def everywhere(name: str, replacement: object) -> None:
    """Under this name, in every module of the product that has taken it over."""
    taken = [
        module
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("holdfast.") and name in vars(module)
    ]
    if not taken:
        raise LookupError(f"nothing is called {name} any more")
    for module in taken:
        setattr(module, name, replacement)
