"""Whether a client of a released OpenAPI document can go on with a newer one.

What a client sends must still be accepted, and what it reads must still be there. New routes, new optional members of a
body, and new members of an answer break nobody; clients are told not to refuse members that they do not know
(docs/decisions/0020).
"""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Schema = Mapping[str, Any]
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")


def breaking(old: Document, new: Document) -> list[str]:
    """Return what breaks a client, in words, each with its place."""
    told: list[str] = []
    for path, operations in old["paths"].items():
        for method, was in operations.items():
            where = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                told.append(f"{where} is gone")
                continue
            told += _operation(where, was, now, old, new)
    return told


def _operation(where: str, was: Schema, now: Schema, old: Document, new: Document) -> Iterator[str]:
    if was.get("security") == [] and now.get("security") != []:
        yield f"{where} asks for a token"
    yield from _parameters(where, was.get("parameters", ()), now.get("parameters", ()), old, new)
    for media, form in was.get("requestBody", {}).get("content", {}).items():
        taken = now.get("requestBody", {}).get("content", {}).get(media)
        if taken is None:
            yield f"{where} takes no {media}"
            continue
        yield from _Sent(old, new).compare(f"{where} body", form.get("schema", {}), taken.get("schema", {}))
    if now.get("requestBody", {}).get("required") and not was.get("requestBody", {}).get("required"):
        yield f"{where} must have a body"
    for status, answer in was["responses"].items():
        there = now["responses"].get(status)
        if there is None:
            if status.startswith("2"):
                yield f"{where} does not answer {status}"
            continue
        for media, form in answer.get("content", {}).items():
            said = there.get("content", {}).get(media)
            if said is None:
                yield f"{where} answers no {media} with {status}"
                continue
            yield from _Read(old, new).compare(f"{where} {status}", form.get("schema", {}), said.get("schema", {}))


def _parameters(where: str, was: Any, now: Any, old: Document, new: Document) -> Iterator[str]:
    before = {(each["in"], each["name"]): each for each in was}
    after = {(each["in"], each["name"]): each for each in now}
    for key, each in before.items():
        if key not in after:
            yield f"{where} takes no {key[0]} {key[1]}"
            continue
        if after[key].get("required") and not each.get("required"):
            yield f"{where} must have the {key[0]} {key[1]}"
        yield from _Sent(old, new).compare(f"{where} {key[1]}", each.get("schema", {}), after[key].get("schema", {}))
    for key, each in after.items():
        if key not in before and each.get("required"):
            yield f"{where} must have the new {key[0]} {key[1]}"


class _Compared:
    """Two schemas, each of its own document, compared member by member.

    A schema that contains itself is walked once.
    """

    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old["components"]["schemas"], new["components"]["schemas"]
        self._seen: set[tuple[str, str]] = set()

    def compare(self, where: str, was: Schema, now: Schema) -> Iterator[str]:
        """Yield what breaks, in words."""
        key = (was.get("$ref", ""), now.get("$ref", ""))
        if all(key):
            if key in self._seen:
                return
            self._seen.add(key)
        was, now = _resolved(was, self._old), _resolved(now, self._new)
        yield from self.same(where, was, now)
        for name, member in was.get("properties", {}).items():
            if name in now.get("properties", {}):
                yield from self.compare(f"{where}.{name}", member, now["properties"][name])
            elif now.get("additionalProperties") is not True:
                yield f"{where}.{name} is gone"
        for name in ("items", "additionalProperties"):
            if isinstance(was.get(name), Mapping) and isinstance(now.get(name), Mapping):
                yield from self.compare(f"{where}[]", was[name], now[name])
        for word in ("anyOf", "oneOf", "allOf"):
            yield from self.choices(where, word, was.get(word, ()), now.get(word, ()))

    def same(self, where: str, was: Schema, now: Schema) -> Iterator[str]:
        """Yield what breaks in a schema itself, apart from its members."""
        raise NotImplementedError

    def choices(self, where: str, word: str, was: Any, now: Any) -> Iterator[str]:
        """Compare alternatives. They are matched by their form: the name of a schema, or a type with its format."""
        after = {_form(each): each for each in now}
        for each in was:
            if _form(each) in after:
                yield from self.compare(where, each, after[_form(each)])
            elif self.may_not_lose(word):
                yield f"{where} is no {_form(each)} any more"
        before = {_form(each) for each in was}
        for form in after:
            if was and form not in before and self.may_not_gain(word):
                yield f"{where} may now be {form}"

    def may_not_lose(self, word: str) -> bool:
        """Whether the loss of an alternative breaks a client."""
        return True

    def may_not_gain(self, word: str) -> bool:
        """Whether a new alternative breaks a client."""
        return False


class _Sent(_Compared):
    """What clients send. It may be widened."""

    def same(self, where: str, was: Schema, now: Schema) -> Iterator[str]:
        if _types(now) and not _types(was) <= _types(now):
            yield f"{where} is {sorted(_types(now))}, not {sorted(_types(was))}"
        lost = set(map(str, was.get("enum", ()))) - set(map(str, now.get("enum", was.get("enum", ()))))
        if lost or ("enum" in now and "enum" not in was):
            yield f"{where} takes no {sorted(lost) or 'text but a few'}"
        for name in set(now.get("required", ())) - set(was.get("required", ())):
            yield f"{where}.{name} must be given"
        for word in _UPPER:
            if word in now and now[word] < was.get(word, float("inf")):
                yield f"{where} has a {word} of {now[word]}"
        for word in _LOWER:
            if word in now and now[word] > was.get(
                word, 0 if word.startswith("min") and word != "minimum" else float("-inf")
            ):
                yield f"{where} has a {word} of {now[word]}"
        if "pattern" in now and now["pattern"] != was.get("pattern"):
            yield f"{where} has another pattern"
        if "format" in now and now["format"] != was.get("format"):
            yield f"{where} is a {now['format']}"


class _Read(_Compared):
    """What clients read. It may be narrowed, and members may be added."""

    def same(self, where: str, was: Schema, now: Schema) -> Iterator[str]:
        if _types(was) and not _types(now) <= _types(was):
            yield f"{where} is {sorted(_types(now))}, not {sorted(_types(was))}"
        for name in set(was.get("required", ())) - set(now.get("required", ())):
            yield f"{where}.{name} may be missing"
        if "format" in was and now.get("format") != was["format"]:
            yield f"{where} is no {was['format']}"

    def may_not_lose(self, word: str) -> bool:
        return word == "allOf"

    def may_not_gain(self, word: str) -> bool:
        return word != "allOf"


def _resolved(schema: Schema, components: Schema) -> Schema:
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def _types(schema: Schema) -> set[str]:
    type_ = schema.get("type", [])
    return {type_} if isinstance(type_, str) else set(type_)


def _form(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    return f"{schema.get('type', 'anything')} {schema.get('format', '')}".strip()
