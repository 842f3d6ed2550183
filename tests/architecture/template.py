"""template.yaml as its rules read it: its resources by kind, and what its roles grant."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
PATH: Final = ROOT / "template.yaml"

Resource = dict[str, Any]


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref X` as {"Ref": "X"}, `!GetAtt X.Arn` as {"Fn::GetAtt": "X.Arn"}."""


def _short_form(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", _short_form)


class Template:
    """The template, or a broken copy that a rule must refuse."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.resources: dict[str, Resource] = raw["Resources"]
        self.functions = self.of_type("AWS::Serverless::Function")
        self.queues = self.of_type("AWS::SQS::Queue")
        self.roles = self.of_type("AWS::IAM::Role")
        self.alarms = self.of_type("AWS::CloudWatch::Alarm")
        self.dead_letter_queues = {name for name in self.queues if name.endswith("DeadLetterQueue")}

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Return the properties of every resource of a kind."""
        return {name: body.get("Properties", {}) for name, body in self.resources.items() if body["Type"] == kind}

    def events(self, kind: str) -> Iterator[tuple[str, str, Resource]]:
        """Yield (function, event, properties) for every event of a type."""
        for function, properties in self.functions.items():
            for event, body in properties.get("Events", {}).items():
                if body["Type"] == kind:
                    yield function, event, body["Properties"]

    def statements(self, role: str) -> list[Resource]:
        """Return the statements of a role. A statement behind a condition counts as granted."""
        written = [each for policy in self.roles[role]["Policies"] for each in policy["PolicyDocument"]["Statement"]]
        return [each["Fn::If"][1] if "Fn::If" in each else each for each in written]

    def variables(self, function: str) -> dict[str, Any]:
        """Return the environment variables of a function."""
        shared = self.raw["Globals"]["Function"]["Environment"]["Variables"]
        return shared | self.functions[function].get("Environment", {}).get("Variables", {})


def load() -> Template:
    """Read the template; every call returns a new copy."""
    return Template(yaml.load(PATH.read_text(encoding="utf-8"), Loader))


TEMPLATE: Final = load()


def arn(name: str) -> dict[str, str]:
    """Return `!GetAtt <name>.Arn`."""
    return {"Fn::GetAtt": f"{name}.Arn"}


def target(reference: Mapping[str, Any]) -> str:
    """Return the resource that a `!Ref` or a `!GetAtt` names; '' if it is neither."""
    return str(reference.get("Ref") or reference.get("Fn::GetAtt", "")).partition(".")[0]


def route(properties: Resource) -> str:
    """Return the route of an HTTP API event, such as `POST /v1/checkout`."""
    return f"{properties['Method']} {properties['Path']}"


def folder(function: str) -> str:
    """Return the folder of a function: PaymentEventsFunction -> payment_events."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


def as_list(value: Any) -> list[Any]:
    """Return as a list what CloudFormation accepts either as one value or as a list."""
    return value if isinstance(value, list) else [value]


def everything(value: Any) -> str:
    """Return all text below a value, to search it for a name."""
    return json.dumps(value, default=str)
