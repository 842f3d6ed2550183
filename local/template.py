"""Reads template.yaml, the one list of functions, routes, queues and schedules, into a `Plan` for this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from local.intrinsics import NO_VALUE, Resolver, TemplateError, read_yaml
from local.model import (
    ACCOUNT,
    REGION,
    Function,
    JwtSettings,
    Permission,
    Plan,
    Queue,
    QueueSource,
    Resources,
    Route,
    Rule,
    Schedule,
    Subscription,
)

STACK = "holdfast-local"
DEFAULT_TIMEOUT_SECONDS = 3
DEFAULT_MEMORY_MB = 128
DEFAULT_QUEUE_CONCURRENCY = 5
ASYNC_MAX_RETRIES = 2
"""What Lambda does with a failed asynchronous invocation when the template does not say."""


class _Names:
    """What resources are called here, and the values of `!Ref` and `!GetAtt` on them."""

    def __init__(self, resources: Mapping[str, Any], aws_url: str) -> None:
        self._resources = resources
        self._aws_url = aws_url
        self.resolver: Resolver

    def physical(self, logical: str) -> str:
        """Return the name under which a resource exists here: the one in the template, or its logical one."""
        resource = self._resources[logical]
        properties = resource.get("Properties", {})
        kind = resource["Type"].split("::")[-1]
        if kind == "Bucket":
            return str(self.resolver.resolve(properties.get("BucketName", f"{STACK}-{logical}".lower())))
        return str(self.resolver.resolve(properties.get("Name", properties.get(f"{kind}Name", logical))))

    def ref(self, logical: str) -> str:
        if logical not in self._resources:
            raise TemplateError(f"!Ref {logical} names neither a parameter nor a resource")
        kind = self._resources[logical]["Type"]
        if kind == "AWS::SQS::Queue":
            return self.queue_url(self.physical(logical))
        if kind in ("AWS::SNS::Topic", "AWS::SecretsManager::Secret"):
            return self.attribute(logical, "Arn")
        return self.physical(logical) if kind in _ARNS else logical

    def queue_url(self, arn: str) -> str:
        """Return the URL of a queue by its ARN."""
        return f"{self._aws_url}/{ACCOUNT}/{arn.rsplit(':', 1)[-1]}"

    def attribute(self, logical: str, attribute: str) -> str:
        """Return the value of `!GetAtt`. For a resource without a stand-in here it is a name that leads nowhere."""
        if logical not in self._resources:
            raise TemplateError(f"!GetAtt {logical}.{attribute} names no resource")
        kind = self._resources[logical]["Type"]
        if attribute in ("Arn", "TopicArn", "Id") and kind in _ARNS:
            return _ARNS[kind].format(region=REGION, account=ACCOUNT, name=self.physical(logical))
        if attribute.endswith("Name") and kind in _ARNS:
            return self.physical(logical)
        if attribute == "QueueUrl":
            return self.ref(logical)
        return f"{logical}.{attribute}.invalid"


_ARNS = {
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
    "AWS::SNS::Topic": "arn:aws:sns:{region}:{account}:{name}",
    "AWS::Events::EventBus": "arn:aws:events:{region}:{account}:event-bus/{name}",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::SES::ConfigurationSet": "arn:aws:ses:{region}:{account}:configuration-set/{name}",
    "AWS::SecretsManager::Secret": "arn:aws:secretsmanager:{region}:{account}:secret:{name}",
    "AWS::Serverless::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
}


def read(
    path: Path, *, aws_url: str, parameters: Mapping[str, str] | None = None, environment: Mapping[str, str]
) -> Plan:
    """Return the plan of the template for an AWS emulation at `aws_url`.

    `parameters` override the template's defaults. `environment` holds what differs on one machine (where the database
    is ...). It takes precedence over the template's values of the same variables, in every function. Raises
    TemplateError.
    """
    raw = read_yaml(path)
    raw.setdefault("Parameters", {})
    everything: Mapping[str, Any] = raw["Resources"]
    names = _Names(everything, aws_url)
    resolver = Resolver(raw, parameters or {}, stack=STACK, ref=names.ref, attribute=names.attribute)
    names.resolver = resolver
    present = {
        name: resource
        for name, resource in everything.items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }
    reader = _Reader(path.parent, raw.get("Globals", {}).get("Function", {}), present, names, environment)
    return Plan(reader.functions(), reader.emulated(), reader.jwt())


class _Reader:
    """Turns the resources of one template into the values of the plan."""

    def __init__(
        self,
        root: Path,
        defaults: Mapping[str, Any],
        resources: Mapping[str, Any],
        names: _Names,
        environment: Mapping[str, str],
    ) -> None:
        self._root = root
        self._defaults = defaults
        self._resources = resources
        self._names = names
        self._resolve = names.resolver.resolve
        self._environment = environment
        self._apis = [spec["Properties"] for spec in resources.values() if spec["Type"] == "AWS::Serverless::HttpApi"]

    def functions(self) -> tuple[Function, ...]:
        return tuple(
            self._function(name, resource["Properties"])
            for name, resource in self._resources.items()
            if resource["Type"] == "AWS::Serverless::Function"
        )

    def _function(self, logical: str, properties: Mapping[str, Any]) -> Function:
        merged = {**self._defaults, **properties}
        folder = (self._root / str(self._resolve(merged["CodeUri"]))).resolve()
        invoke = self._resolve(merged.get("EventInvokeConfig", {}))
        on_failure = invoke.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        reserved = self._resolve(merged.get("ReservedConcurrentExecutions"))
        events = properties.get("Events", {})
        schedules = (self._schedule(logical + name, event) for name, event in _of(events, "ScheduleV2"))
        return Function(
            name=folder.name,
            logical_id=logical,
            folder=str(folder),
            handler=str(merged["Handler"]),
            timeout_seconds=int(self._resolve(merged.get("Timeout", DEFAULT_TIMEOUT_SECONDS))),
            memory_mb=int(self._resolve(merged.get("MemorySize", DEFAULT_MEMORY_MB))),
            max_concurrency=None if reserved is None or reserved is NO_VALUE else int(reserved),
            max_retries=int(invoke.get("MaximumRetryAttempts", ASYNC_MAX_RETRIES)),
            failure_queue_url=self._names.queue_url(on_failure) if on_failure else None,
            environment=self._variables(properties) | dict(self._environment),
            routes=tuple(self._route(event) for _, event in _of(events, "HttpApi")),
            queues=tuple(self._queue_source(event) for _, event in _of(events, "SQS")),
            schedules=tuple(schedule for schedule in schedules if schedule is not None),
            permissions=tuple(self._permissions(merged.get("Role", {}))),
        )

    def _permissions(self, role: Mapping[str, Any]) -> Iterator[Permission]:
        """Yield what a role of this template allows.

        Logins to the database use a password here, so they are left out.
        """
        name = str(role.get("Fn::GetAtt", [""])[0])
        for policy in self._resources.get(name, {}).get("Properties", {}).get("Policies", []):
            for written in policy["PolicyDocument"]["Statement"]:
                if written.get("Action") == "rds-db:connect":
                    continue
                statement = self._resolve(written)
                if statement is not NO_VALUE and statement["Effect"] == "Allow":
                    actions, resources = (_list(statement[key]) for key in ("Action", "Resource"))
                    yield Permission(actions, resources)

    def _variables(self, properties: Mapping[str, Any]) -> dict[str, str]:
        sources = (self._defaults, properties)
        merged = {k: v for source in sources for k, v in source.get("Environment", {}).get("Variables", {}).items()}
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self._resolve(merged).items()
        }

    def _route(self, event: Mapping[str, Any]) -> Route:
        properties = event["Properties"]
        own = properties.get("Auth", {}).get("Authorizer")
        inherited = next((api.get("Auth", {}).get("DefaultAuthorizer") for api in self._apis), None)
        return Route(
            method=str(self._resolve(properties.get("Method", "ANY"))).upper(),
            path=str(self._resolve(properties.get("Path", "$default"))),
            is_public=own == "NONE" or (own is None and inherited is None),
        )

    def _queue_source(self, event: Mapping[str, Any]) -> QueueSource:
        properties = self._resolve(event["Properties"])
        concurrency = properties.get("ScalingConfig", {}).get("MaximumConcurrency", DEFAULT_QUEUE_CONCURRENCY)
        return QueueSource(
            queue_url=self._names.queue_url(properties["Queue"]),
            queue_arn=properties["Queue"],
            batch_size=int(properties.get("BatchSize", 10)),
            reports_item_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
            max_concurrency=int(concurrency),
        )

    def _schedule(self, name: str, event: Mapping[str, Any]) -> Schedule | None:
        properties = self._resolve(event["Properties"])
        if properties.get("State", "ENABLED") != "ENABLED":
            return None
        return Schedule(
            name=str(properties.get("Name", name)),
            expression=properties["ScheduleExpression"],
            timezone=properties.get("ScheduleExpressionTimezone", "UTC"),
            input=properties.get("Input"),
        )

    def emulated(self) -> Resources:
        return Resources(
            queues=tuple(_queue(name, self._resolve(spec)) for name, spec in self._named("AWS::SQS::Queue").items()),
            buses=tuple(self._named("AWS::Events::EventBus")),
            topics=tuple(self._named("AWS::SNS::Topic")),
            buckets=tuple(self._named("AWS::S3::Bucket")),
            secrets={
                name: _first_value(name, self._resolve(spec))
                for name, spec in self._named("AWS::SecretsManager::Secret").items()
            },
            rules=tuple(
                _rule(name, rule)
                for name, spec in self._named("AWS::Events::Rule").items()
                if (rule := self._resolve(spec)).get("State", "ENABLED") == "ENABLED"
            ),
            subscriptions=tuple(
                Subscription(spec["TopicArn"], spec["Endpoint"], bool(spec.get("RawMessageDelivery", False)))
                for spec in map(self._resolve, self._named("AWS::SNS::Subscription").values())
                if spec["Protocol"] == "sqs"
            ),
            mail_feedback={
                spec["ConfigurationSetName"]: spec["EventDestination"]["SnsDestination"]["TopicARN"]
                for spec in map(self._resolve, self._named("AWS::SES::ConfigurationSetEventDestination").values())
                if "SnsDestination" in spec["EventDestination"]
            },
        )

    def _named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            self._names.physical(name): resource.get("Properties", {})
            for name, resource in self._resources.items()
            if resource["Type"] == kind
        }

    def jwt(self) -> JwtSettings:
        for api in self._apis:
            for authorizer in api.get("Auth", {}).get("Authorizers", {}).values():
                settings = self._resolve(authorizer["JwtConfiguration"])
                return JwtSettings(str(settings["issuer"]), tuple(map(str, settings["audience"])))
        return JwtSettings("", ())


def _rule(name: str, properties: Mapping[str, Any]) -> Rule:
    """Return a rule.

    Raises TemplateError for a target that is no queue, because events are delivered to nothing else here.
    """
    targets = {target["Id"]: target["Arn"] for target in properties["Targets"]}
    if strange := [arn for arn in targets.values() if not arn.startswith("arn:aws:sqs:")]:
        raise TemplateError(f"the rule {name} sends events to {strange[0]}: the local system knows queues alone")
    return Rule(name, properties["EventBusName"], properties["EventPattern"], targets)


def _list(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _of(events: Mapping[str, Any], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, event) for name, event in events.items() if event["Type"] == kind]


def _first_value(name: str, properties: Mapping[str, Any]) -> str:
    """Return the first value of a secret.

    A generated one is the same at every start here: it protects this machine alone, and links that were mailed before a
    restart keep working.
    """
    generated = properties.get("GenerateSecretString")
    if generated is None:
        return str(properties.get("SecretString", "{}"))
    value = hashlib.sha256(f"local {name}".encode()).hexdigest()
    if "GenerateStringKey" not in generated:
        return value
    members = json.loads(generated.get("SecretStringTemplate", "{}"))
    return json.dumps(members | {generated["GenerateStringKey"]: value})


def _queue(name: str, properties: Mapping[str, Any]) -> Queue:
    redrive = properties.get("RedrivePolicy", {})
    return Queue(
        name=name,
        visibility_timeout_seconds=int(properties.get("VisibilityTimeout", 30)),
        retention_seconds=int(properties.get("MessageRetentionPeriod", 345_600)),
        redrive_to=redrive.get("deadLetterTargetArn"),
        max_receive_count=int(redrive["maxReceiveCount"]) if redrive else None,
    )
