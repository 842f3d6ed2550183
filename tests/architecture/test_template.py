"""The rules for template.yaml hold, and each of them can fail. A complaint says what to write."""

import json
import re
import tomllib
from datetime import UTC, datetime

import pytest
import yaml

from local import sample_events
from tests.architecture.rules import alarms, data, door, queues, roles
from tests.architecture.rules.door import PUBLIC_ROUTES
from tests.architecture.rules.rule import RULES, Breakage, Rule, broken
from tests.architecture.template import PATH, ROOT, TEMPLATE, Loader, folder, route

CHAPTERS = {module.__name__ for module in (alarms, data, door, queues, roles)}


@pytest.mark.parametrize("each", RULES, ids=lambda each: each.name)
def test_the_template_keeps_the_rule(each: Rule) -> None:
    complaints = list(each.complaints(TEMPLATE))
    assert complaints == [], "\n".join(complaints)


@pytest.mark.parametrize(
    ("each", "breakage"),
    [
        pytest.param(each, breakage, id=f"{each.name}-{number}")
        for each in RULES
        for number, breakage in enumerate(each.breakages)
    ],
)
def test_a_template_that_breaks_the_rule_is_refused(each: Rule, breakage: Breakage) -> None:
    assert list(each.complaints(broken(breakage))), f"{each.name} does not see that it was broken."


def test_every_chapter_of_rules_is_read() -> None:
    written = {f"tests.architecture.rules.{path.stem}" for path in (ROOT / "tests/architecture/rules").glob("*.py")}
    assert written - {"tests.architecture.rules.rule"} == CHAPTERS
    assert {each.complaints.__module__ for each in RULES} == CHAPTERS


def test_nothing_is_written_twice() -> None:
    """YAML silently keeps the last of two equal keys, which CloudFormation refuses."""
    twice: list[str] = []

    def walk(node: yaml.Node | None) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice.extend(f"{key} below line {node.start_mark.line}" for key in {*keys} if keys.count(key) > 1)
        if isinstance(node, yaml.MappingNode | yaml.SequenceNode):
            for child in node.value:
                for each in child if isinstance(child, tuple) else (child,):
                    walk(each)

    walk(yaml.compose(PATH.read_text(encoding="utf-8"), Loader))
    assert twice == []


@pytest.mark.parametrize("name", sample_events.names())
def test_every_sample_event_is_one_that_its_function_receives(name: str) -> None:
    event = sample_events.render(name, now=datetime(2026, 1, 1, tzinfo=UTC))
    function = next(function for function in TEMPLATE.functions if folder(function) == name.partition("/")[0])
    if "routeKey" in event:
        routes = {route(properties) for owner, _, properties in TEMPLATE.events("HttpApi") if owner == function}
        assert event["routeKey"] in routes, f"{name}: {function} has no such route."
        trusted = "authorizer" in event["requestContext"]
        assert trusted == (event["routeKey"] not in PUBLIC_ROUTES), f"{name}: claims come with the authorizer only."
    elif "Records" in event:
        queues = {
            properties["Queue"]["Fn::GetAtt"].split(".")[0]
            for owner, _, properties in TEMPLATE.events("SQS")
            if owner == function
        }
        for record in event["Records"]:
            assert record["eventSourceARN"].rpartition("-")[2] in queues, f"{name}: {function} reads another queue."
    elif event.get("source") == "aws.scheduler":
        ticks = {f"{owner}{tick}" for owner, tick, _ in TEMPLATE.events("ScheduleV2") if owner == function}
        assert event["resources"][0].rpartition("-")[2] in ticks, f"{name}: {function} has no such schedule."


def test_sample_environment_names_only_variables_that_functions_have() -> None:
    known = set(TEMPLATE.raw["Globals"]["Function"]["Environment"]["Variables"])
    sample = set(json.loads((ROOT / "events" / "env.json").read_text(encoding="utf-8"))["Parameters"])
    assert sample <= known, f"sam local drops variables that the template does not declare: {sorted(sample - known)}."


def test_every_environment_sets_parameters_that_exist() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    for environment in ("ci", "dev", "prod"):
        given = config[environment]["global"]["parameters"]["parameter_overrides"]
        pairs = dict(pair.split("=", 1) for pair in (given.split() if isinstance(given, str) else given))
        assert {"Environment", "Runtime", "Architecture"} <= set(pairs), f"samconfig.toml, {environment}: say them."
        for name, value in pairs.items():
            parameter = TEMPLATE.raw["Parameters"].get(name)
            assert parameter, f"samconfig.toml, {environment}: the template has no parameter {name}."
            allowed = [str(choice) for choice in parameter.get("AllowedValues", [value])]
            assert value in allowed, f"samconfig.toml, {environment}: {name}={value} is none of {allowed}."


def test_the_migration_stands_on_the_same_versions_as_everything_else() -> None:
    def pins(path: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))

    layer = pins("layers/dependencies/requirements.txt")
    for package, version in pins("functions/migrate/requirements.txt").items():
        assert layer.get(package, version) == version, (
            f"{package}: {version} for migrate, {layer[package]} in the layer."
        )
