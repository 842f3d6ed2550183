"""CloudFormation's YAML and its intrinsic functions, resolved to the values of this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from local.model import ACCOUNT, REGION

_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(ValueError):
    """The template contains something that the local system cannot handle. The message names the place."""


class _NoValue:
    """The value of `!Ref AWS::NoValue`: the property is left out."""


NO_VALUE = _NoValue()


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where the wheel has it: 10x
    pass


def _tagged(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tagged)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the template as nested dictionaries, with short forms written out. Raises TemplateError."""
    try:
        with path.open("rb") as stream:
            return dict(yaml.load(stream, Loader=_Loader))  # noqa: S506 (derived from the safe loader)
    except (OSError, yaml.YAMLError) as problem:
        raise TemplateError(f"{path} cannot be read: {problem}") from problem


class Resolver:
    """Evaluates intrinsic functions. `ref` and `attribute` return the local name and attributes of a resource."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        *,
        stack: str,
        ref: Callable[[str], str],
        attribute: Callable[[str, str], str],
    ) -> None:
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._mappings: Mapping[str, Any] = template.get("Mappings", {})
        self._pseudo = _PSEUDO | {"AWS::StackName": stack, "AWS::StackId": stack}
        self._ref = ref
        self._attribute = attribute
        self._parameters = {name: _parameter(name, spec, parameters) for name, spec in template["Parameters"].items()}
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": self.ref,
            "Condition": self.condition,
            "Fn::GetAtt": lambda value: self._attribute(*(value if isinstance(value, list) else value.split(".", 1))),
            "Fn::Sub": self._substitute,
            "Fn::If": lambda value: self.resolve(value[1] if self.condition(value[0]) else value[2]),
            "Fn::Equals": lambda value: _text(self.resolve(value[0])) == _text(self.resolve(value[1])),
            "Fn::Not": lambda value: not self.resolve(value[0]),
            "Fn::And": lambda value: all(self.resolve(item) for item in value),
            "Fn::Or": lambda value: any(self.resolve(item) for item in value),
            "Fn::Join": lambda value: value[0].join(_text(item) for item in self.resolve(value[1])),
            "Fn::Select": lambda value: self.resolve(value[1])[int(self.resolve(value[0]))],
            "Fn::Split": lambda value: self.resolve(value[1]).split(value[0]),
            "Fn::FindInMap": self._find_in_map,
        }

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function evaluated and `AWS::NoValue` left out.

        Raises TemplateError.
        """
        if isinstance(value, dict):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name in self._functions:
                    return self._functions[name](argument)
                if isinstance(name, str) and name.startswith("Fn::"):
                    raise TemplateError(f"{name} is not known to the local system")
            pairs = ((key, self.resolve(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not NO_VALUE}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        return value

    def ref(self, name: str) -> Any:
        """Return the value of `!Ref name`."""
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._parameters:
            return self._parameters[name]
        return self._ref(name)

    def condition(self, name: str) -> bool:
        """Return whether the named condition holds."""
        if name not in self._conditions:
            raise TemplateError(f"the condition {name} is not defined")
        return bool(self.resolve(self._conditions[name]))

    def _substitute(self, value: Any) -> str:
        text, local = (value, {}) if isinstance(value, str) else (value[0], value[1])

        def replacement(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in local:
                return _text(self.resolve(local[name]))
            return _text(self._attribute(*name.split(".", 1)) if "." in name else self.ref(name))

        return _VARIABLE.sub(replacement, text)

    def _find_in_map(self, value: list[Any]) -> Any:
        found: Any = self._mappings
        for key in map(self.resolve, value):
            found = found[key]
        return self.resolve(found)


def _parameter(name: str, spec: Mapping[str, Any], given: Mapping[str, str]) -> Any:
    if name not in given and "Default" not in spec:
        raise TemplateError(f"the parameter {name} has neither a default nor a local value")
    value = given.get(name, spec.get("Default"))
    return str(value).split(",") if spec.get("Type") == "CommaDelimitedList" else value


def _text(value: Any) -> str:
    """Return a value as CloudFormation writes it: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
