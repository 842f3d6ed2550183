"""Changes to a database of the proof's own."""

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
