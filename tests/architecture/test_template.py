"""The rules of template.yaml. A failing test says what to write, not only that something is wrong."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import sample_events

ROOT = Path(__file__).resolve().parents[2]
PUBLIC_ROUTES = {
    "GET /v1/health",
    "GET /v1/openapi.json",
    "POST /v1/guest-sessions",
    "POST /v1/webhooks/{gateway}",
    "POST /v1/webhooks/{gateway}/{endpoint_key}",
}
READS_GATEWAY_SECRETS = {
    "ShippingFunction",
    "MoneyWatchdogFunction",
    "CheckoutFunction",
    "DlqRetriesFunction",
    "DeadLettersFunction",
    "OrdersFunction",
    "PaymentEventsFunction",
    "PaymentMethodsFunction",
    "PaymentWatchdogFunction",
    "PaymentWebhooksFunction",
    "RefundsFunction",
    "ShippingAddressesFunction",
}
API_GATEWAY_TIMEOUT_SECONDS = 30
VISIBILITY_PER_TIMEOUT = 6

Resource = dict[str, Any]


class TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref X` as {"Ref": "X"}, `!GetAtt X.Arn` as {"Fn::GetAtt": "X.Arn"}."""


def _short_form(loader: TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", _short_form)
TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(encoding="utf-8"), TemplateLoader)
RESOURCES: dict[str, Resource] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Resource]:
    return {name: body["Properties"] for name, body in RESOURCES.items() if body["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")
ROLES = of_type("AWS::IAM::Role")
DEAD_LETTER_QUEUES = {name for name in QUEUES if name.endswith("DeadLetterQueue")}


def arn(name: str) -> dict[str, str]:
    return {"Fn::GetAtt": f"{name}.Arn"}


def events(kind: str) -> Iterator[tuple[str, str, Resource]]:
    """(function, event, properties) of every event of that type."""
    for function, properties in FUNCTIONS.items():
        for event, body in properties.get("Events", {}).items():
            if body["Type"] == kind:
                yield function, event, body["Properties"]


def route(properties: Resource) -> str:
    return f"{properties['Method']} {properties['Path']}"


def folder(function: str) -> str:
    """The folder whose name is the function's: PaymentEventsFunction -> payment_events."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", function.removesuffix("Function")).lower()


def statements(role: str) -> list[Resource]:
    written = [statement for policy in ROLES[role]["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
    # A statement behind a condition counts as granted.
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in written]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def everything(value: Any) -> str:
    """All text below a value, to search for a name in it."""
    return json.dumps(value, default=str)


@pytest.mark.parametrize("queue", sorted(set(QUEUES) - DEAD_LETTER_QUEUES))
def test_a_message_that_crashes_its_function_is_kept_in_a_dead_letter_queue(queue: str) -> None:
    redrive = QUEUES[queue].get("RedrivePolicy")
    assert redrive, (
        f"{queue} loses what it cannot deliver: give it a RedrivePolicy to a queue named ...DeadLetterQueue."
    )
    target = redrive["deadLetterTargetArn"]["Fn::GetAtt"].removesuffix(".Arn")
    assert target in DEAD_LETTER_QUEUES, f"{queue} redrives to {target}: name it ...DeadLetterQueue."
    assert 2 <= redrive["maxReceiveCount"] <= 10, f"{queue}: one bad moment must not bury a message, nor a loop last."
    kept = QUEUES[target]["MessageRetentionPeriod"] - QUEUES[queue]["MessageRetentionPeriod"]
    assert kept > 0, f"{target} must keep messages longer than {queue}: their age counts from the first send."


@pytest.mark.parametrize(("function", "event", "properties"), list(events("SQS")))
def test_a_failed_message_does_not_bring_back_its_whole_batch(function: str, event: str, properties: Resource) -> None:
    assert properties.get("FunctionResponseTypes") == ["ReportBatchItemFailures"], (
        f"{function}.{event}: add `FunctionResponseTypes: [ReportBatchItemFailures]`, or one failure repeats the batch."
    )
    assert properties["ScalingConfig"]["MaximumConcurrency"] >= 2, f"{function}.{event}: bound it, and SQS needs >= 2."


@pytest.mark.parametrize(("function", "event", "properties"), list(events("SQS")))
def test_no_message_is_delivered_again_while_it_is_being_worked_on(
    function: str, event: str, properties: Resource
) -> None:
    queue = properties["Queue"]["Fn::GetAtt"].removesuffix(".Arn")
    needed = VISIBILITY_PER_TIMEOUT * FUNCTIONS[function]["Timeout"]
    assert QUEUES[queue].get("VisibilityTimeout", 30) >= needed, (
        f"{queue}: set VisibilityTimeout to at least {needed} = {VISIBILITY_PER_TIMEOUT} x the timeout of {function}"
        f" (event {event}), as the Lambda guide asks for event source mappings."
    )


@pytest.mark.parametrize(("function", "event", "properties"), list(events("ScheduleV2")))
def test_a_tick_that_nobody_served_is_not_lost_silently(function: str, event: str, properties: Resource) -> None:
    dead_letters = properties.get("DeadLetterConfig", {}).get("Arn", {}).get("Fn::GetAtt", "")
    assert dead_letters.removesuffix(".Arn") in DEAD_LETTER_QUEUES, f"{function}.{event}: add a DeadLetterConfig."
    assert "RetryPolicy" in properties, f"{function}.{event}: the default retries for 24 hours; say a RetryPolicy."
    assert properties.get("FlexibleTimeWindow") == {"Mode": "OFF"}, f"{function}.{event}: set FlexibleTimeWindow OFF."
    # The Scheduler only hands the tick over; what fails afterwards is Lambda's to report.
    on_failure = FUNCTIONS[function].get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure")
    assert on_failure, f"{function} is invoked asynchronously: add EventInvokeConfig.DestinationConfig.OnFailure."
    assert arn(function) in everything_of_schedule_role(), f"{function}: let ScheduleRole invoke it."


def everything_of_schedule_role() -> list[Any]:
    return [resource for statement in statements("ScheduleRole") for resource in as_list(statement["Resource"])]


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_function_has_a_role_of_its_own(function: str) -> None:
    assert FUNCTIONS[function].get("Role") == arn(f"{function}Role"), (
        f"{function}: write `Role: !GetAtt {function}Role.Arn`; the role SAM makes may read every queue of the account."
    )
    assert f"{function}Role" in ROLES, f"Add {function}Role, with just the statements that {function} needs."
    for statement in statements(f"{function}Role"):
        where = f"{function}Role, statement {statement['Sid']}"
        assert statement["Effect"] == "Allow", f"{where}: grant little instead of denying much."
        assert all("*" not in action for action in as_list(statement["Action"])), f"{where}: name each action."
        assert "*" not in as_list(statement["Resource"]), f"{where}: name the resource."


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_can_only_be_its_own_database_user(function: str) -> None:
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["DATABASE_USER"]
    user = FUNCTIONS[function].get("Environment", {}).get("Variables", {}).get("DATABASE_USER", shared)
    granted = [
        statement["Resource"] for statement in statements(f"{function}Role") if "rds-db:connect" in statement["Action"]
    ]
    assert len(granted) == 1, f"{function}Role: exactly one statement grants rds-db:connect."
    assert f"/{user}" in everything(granted), (
        f"{function} connects as {user}: grant rds-db:connect for that user alone."
    )


def test_only_functions_that_talk_to_gateways_read_their_secrets() -> None:
    readers = {
        function
        for function in FUNCTIONS
        if "secret:holdfast/${Environment}/*" in everything(statements(f"{function}Role"))
    }
    assert readers == READS_GATEWAY_SECRETS, "Grant GetSecretValue where a gateway is called, and list it here."


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_logs_of_every_function_are_encrypted_and_end_one_day(function: str) -> None:
    logs = of_type("AWS::Logs::LogGroup").get(f"{function}Logs")
    assert logs, f"Add {function}Logs: a log group that Lambda makes by itself is kept for ever."
    assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}, f"{function}Logs: keep it for LogRetentionDays."
    assert logs["KmsKeyId"] == arn("DataKey"), f"{function}Logs: encrypt it with DataKey."
    assert FUNCTIONS[function].get("LoggingConfig", {}).get("LogGroup") == {"Ref": f"{function}Logs"}, (
        f"{function}: write `LoggingConfig: {{LogGroup: !Ref {function}Logs}}`."
    )
    assert arn(f"{function}Logs") in [statement["Resource"] for statement in statements(f"{function}Role")], (
        f"{function}Role: allow writing to {function}Logs, and to no other log."
    )


def test_folder_resource_and_sample_events_carry_one_name() -> None:
    named = {folder(function) for function in FUNCTIONS}
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    samples = {path.parent.name for path in (ROOT / "events").glob("*/*.json")}
    assert folders == named, f"functions/<name>/app.py and template.yaml disagree about {sorted(folders ^ named)}."
    assert samples == named, f"Add events/<name>/<case>.json, or remove it, for {sorted(samples ^ named)}."
    for function, properties in FUNCTIONS.items():
        assert function.endswith("Function"), f"Call it {function}Function."
        assert properties["CodeUri"] == f"functions/{folder(function)}/", f"{function}: its folder carries its name."


def test_nothing_is_written_twice() -> None:
    """YAML keeps the last of two equal keys and says nothing; CloudFormation refuses them."""
    twice: list[str] = []

    def walk(node: yaml.Node | None) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            twice.extend(f"{key} below line {node.start_mark.line}" for key in {*keys} if keys.count(key) > 1)
        if isinstance(node, yaml.MappingNode | yaml.SequenceNode):
            for child in node.value:
                for each in child if isinstance(child, tuple) else (child,):
                    walk(each)

    walk(yaml.compose((ROOT / "template.yaml").read_text(encoding="utf-8"), TemplateLoader))
    assert twice == []


def test_public_routes_are_exactly_the_listed_ones() -> None:
    auth = RESOURCES["HttpApi"]["Properties"]["Auth"]
    assert auth["DefaultAuthorizer"] in auth["Authorizers"], "A route that says nothing must need a token."
    public = {route(properties) for _, _, properties in events("HttpApi") if "Auth" in properties}
    assert public == PUBLIC_ROUTES, "A route without a token is a decision: list it here and in the security page."


def test_no_route_is_served_twice() -> None:
    routes = [route(properties) for _, _, properties in events("HttpApi")]
    twice = sorted({name for name in routes if routes.count(name) > 1})
    assert not twice, f"Two functions claim {twice}."


def test_no_function_works_on_after_its_caller_was_told_that_it_failed() -> None:
    for function, _, properties in events("HttpApi"):
        assert FUNCTIONS[function]["Timeout"] < API_GATEWAY_TIMEOUT_SECONDS, (
            f"{function}: API Gateway hangs up on {route(properties)} after {API_GATEWAY_TIMEOUT_SECONDS} s; end first."
        )


@pytest.mark.parametrize("name", sorted([*QUEUES, "AlertTopic", "ArchiveBucket"]))
def test_nothing_is_reached_without_tls(name: str) -> None:
    policy = RESOURCES.get(f"{name}Policy", {}).get("Properties", {}).get("PolicyDocument", {})
    denials = [statement for statement in policy.get("Statement", []) if statement["Effect"] == "Deny"]
    assert any(
        statement["Principal"] == "*" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in denials
    ), f"Add {name}Policy with a statement that denies everybody without aws:SecureTransport."
    assert name in everything([statement["Resource"] for statement in denials]), f"{name}Policy speaks of another one."


def test_everything_that_keeps_data_is_encrypted_with_our_key() -> None:
    places = {
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::SNS::Topic": "KmsMasterKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::Events::EventBus": "KmsKeyIdentifier",
        "AWS::Events::Archive": "KmsKeyIdentifier",
        "AWS::RDS::DBCluster": "KmsKeyId",
        "AWS::SecretsManager::Secret": "KmsKeyId",
    }
    for kind, key in places.items():
        for name, properties in of_type(kind).items():
            assert properties.get(key) == arn("DataKey"), f"{name}: write `{key}: !GetAtt DataKey.Arn`."
    assert "DataKey.Arn" in everything(RESOURCES["ArchiveBucket"]["Properties"]["BucketEncryption"])
    assert RESOURCES["DataKey"]["Properties"]["EnableKeyRotation"] is True, "Rotate the key."
    assert RESOURCES["DataKey"]["DeletionPolicy"] == "Retain", "Without its key the archive is noise."


@pytest.mark.parametrize("name", sorted([*QUEUES, *FUNCTIONS]))
def test_trouble_with_any_queue_or_function_wakes_somebody(name: str) -> None:
    watching = [
        alarm
        for alarm, properties in of_type("AWS::CloudWatch::Alarm").items()
        if f'{{"Ref": "{name}"}}' in everything(properties) or f'"{name}.QueueName"' in everything(properties)
    ]
    assert watching, f"Add an alarm for {name}: age and depth of a queue, errors and throttles of a function."
    for alarm in watching:
        actions = RESOURCES[alarm]["Properties"]["AlarmActions"]
        assert actions == [{"Ref": "AlertTopic"}], f"{alarm} tells nobody: `AlarmActions: [!Ref AlertTopic]`."


def test_every_function_that_uses_a_queue_or_the_topic_may_use_their_key() -> None:
    services = {"sqs:": "sqs.", "sns:": "sns.", "secretsmanager:": "secretsmanager."}
    for function in FUNCTIONS:
        granted = statements(f"{function}Role")
        key_uses = everything([statement for statement in granted if "kms:Decrypt" in as_list(statement["Action"])])
        for action, service in services.items():
            if any(used.startswith(action) for statement in granted for used in as_list(statement["Action"])):
                assert service in key_uses, f"{function}Role: it uses {action}*, so UseTheKey must name {service}"


@pytest.mark.parametrize("name", sample_events.names())
def test_every_sample_event_is_one_that_its_function_receives(name: str) -> None:
    event = sample_events.render(name, now=datetime(2026, 1, 1, tzinfo=UTC))
    function = next(function for function in FUNCTIONS if folder(function) == name.partition("/")[0])
    if "routeKey" in event:
        routes = {route(properties) for owner, _, properties in events("HttpApi") if owner == function}
        assert event["routeKey"] in routes, f"{name}: {function} has no such route."
        trusted = "authorizer" in event["requestContext"]
        assert trusted == (event["routeKey"] not in PUBLIC_ROUTES), f"{name}: claims come with the authorizer only."
    elif "Records" in event:
        queues = {
            properties["Queue"]["Fn::GetAtt"].split(".")[0]
            for owner, _, properties in events("SQS")
            if owner == function
        }
        for record in event["Records"]:
            assert record["eventSourceARN"].rpartition("-")[2] in queues, f"{name}: {function} reads another queue."
    elif event.get("source") == "aws.scheduler":
        ticks = {f"{owner}{tick}" for owner, tick, _ in events("ScheduleV2") if owner == function}
        assert event["resources"][0].rpartition("-")[2] in ticks, f"{name}: {function} has no such schedule."


def test_sample_environment_names_only_variables_that_functions_have() -> None:
    known = set(TEMPLATE["Globals"]["Function"]["Environment"]["Variables"])
    sample = set(json.loads((ROOT / "events" / "env.json").read_text(encoding="utf-8"))["Parameters"])
    assert sample <= known, f"sam local drops variables that the template does not declare: {sorted(sample - known)}."


def test_every_environment_sets_parameters_that_exist() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    for environment in ("ci", "dev", "prod"):
        given = config[environment]["global"]["parameters"]["parameter_overrides"]
        pairs = dict(pair.split("=", 1) for pair in (given.split() if isinstance(given, str) else given))
        assert {"Environment", "Runtime", "Architecture"} <= set(pairs), f"samconfig.toml, {environment}: say them."
        for name, value in pairs.items():
            parameter = TEMPLATE["Parameters"].get(name)
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
