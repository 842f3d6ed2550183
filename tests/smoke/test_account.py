"""What the smoke test reads from an AWS account, tested on an emulation."""

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from local.intrinsics import Resolver
from smoke.__main__ import _ask_account, region_of
from smoke.account import MAILS, Resource, ask_account, parameters_of, resources_of
from smoke.report import Line, Report, Result
from smoke.system import Options
from tests.architecture.template import ROOT, TEMPLATE

CHECKS = [
    "RDS Proxy pins no session",
    "dead-letter queues are empty",
    "schedules are enabled, and each has a dead-letter queue",
    "no alarm is ringing",
]


SCHEDULES = CHECKS[2]


@dataclass(frozen=True)
class Account:
    """The resources of a stack, its parameters, and boto3's clients."""

    clients: Mapping[str, Any]
    resources: list[Resource]
    parameters: Mapping[str, str] = field(default_factory=dict)

    def id(self, logical_id: str) -> str:
        return next(row.physical_id for row in self.resources if row.logical_id == logical_id)

    def asked(self) -> dict[str, tuple[Result, str]]:
        report = Report(lambda _line: None)
        ask_account(self.resources, self.parameters, self.clients, report)
        return {line.check: (line.result, line.seen) for line in report.lines}


@pytest.fixture
def account(aws: str) -> Account:
    """Create a small version of the template's stack."""
    clients = {
        "cloudformation": boto3.client("cloudformation"),
        "cloudwatch": boto3.client("cloudwatch"),
        "scheduler": boto3.client("scheduler"),
        "sqs": boto3.client("sqs"),
    }
    mark = uuid.uuid4().hex[:8]
    queue = clients["sqs"].create_queue(QueueName=f"{mark}-dead")["QueueUrl"]
    alarm, schedule, proxy = f"{mark}-alarm", f"{mark}-tick", f"{mark}-proxy"
    clients["cloudwatch"].put_metric_alarm(
        AlarmName=alarm, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    plan(clients["scheduler"].create_schedule, schedule)
    made = Account(
        clients,
        [
            Resource("AWS::SQS::Queue", "ThingsDeadLetterQueue", queue),
            Resource("AWS::CloudWatch::Alarm", "ThingsAlarm", alarm),
            Resource("AWS::Scheduler::Schedule", "ThingsTick", schedule),
            Resource("AWS::RDS::DBProxy", "DatabaseProxy", proxy),
        ],
    )
    pinned(made, 0)
    return made


def plan(put: Any, name: str, *, state: str = "ENABLED", dead_letters: bool = True, of: str = "f") -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:dead"
    function = f"arn:aws:lambda:us-east-1:123456789012:function:{of}"
    target = {"Arn": function, "RoleArn": "arn:aws:iam::123456789012:role/r"}
    put(
        Name=name,
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        State=state,
        Target=target | ({"DeadLetterConfig": {"Arn": arn}} if dead_letters else {}),
    )


def pinned(account: Account, sessions: int) -> None:
    account.clients["cloudwatch"].put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "DatabaseConnectionsCurrentlySessionPinned",
                "Dimensions": [{"Name": "ProxyName", "Value": account.id("DatabaseProxy")}],
                "Timestamp": datetime.now(UTC),
                "Value": sessions,
            }
        ],
    )


def test_an_account_in_order_passes(account: Account) -> None:
    assert {check: result for check, (result, _) in account.asked().items()} == dict.fromkeys(CHECKS, Result.OK)


def test_each_trouble_is_named(account: Account) -> None:
    account.clients["sqs"].send_message(QueueUrl=account.id("ThingsDeadLetterQueue"), MessageBody="{}")
    plan(account.clients["scheduler"].update_schedule, account.id("ThingsTick"), state="DISABLED", dead_letters=False)
    account.clients["cloudwatch"].set_alarm_state(
        AlarmName=account.id("ThingsAlarm"), StateValue="ALARM", StateReason="because", StateReasonData=json.dumps({})
    )
    pinned(account, 3)
    told = account.asked()
    assert {result for result, _ in told.values()} == {Result.FAILED}
    seen = [told[check][1] for check in CHECKS]
    assert seen[0] == "3 sessions were pinned"
    assert "ThingsDeadLetterQueue" in seen[1]
    assert seen[2] == "ThingsTick is DISABLED; ThingsTick has no dead-letter queue"
    assert account.id("ThingsAlarm") in seen[3]


def deployed(account: Account, **given: str) -> Account:
    """Return the account with the schedules that the template has under these parameters, defaults for the rest."""
    mark = uuid.uuid4().hex[:8]
    resolver = Resolver(TEMPLATE.raw, given, stack="holdfast-dev", ref=str, attribute=lambda name, _: name)
    made = []
    for function, event, properties in TEMPLATE.events("ScheduleV2"):
        state, name = str(resolver.resolve(properties["State"])), f"{mark}-{function}{event}"[:64]
        plan(account.clients["scheduler"].create_schedule, name, state=state, of=f"{mark}-{function}")
        made.append(Resource("AWS::Scheduler::Schedule", f"{function}{event}", name))
    functions = [Resource("AWS::Lambda::Function", name, f"{mark}-{name}") for name in TEMPLATE.functions]
    parameters = {name: str(resolver.ref(name)) for name in ("Schedules", "MailSenderAddress")}
    others = [row for row in account.resources if row.type != "AWS::Scheduler::Schedule"]
    return replace(account, resources=[*others, *functions, *made], parameters=parameters)


def test_a_stack_deployed_with_its_defaults_is_in_order(account: Account) -> None:
    stack = deployed(account)
    assert MAILS in TEMPLATE.functions
    assert "no MailSenderAddress" in stack.asked()[SCHEDULES][1]
    assert {result for result, _ in stack.asked().values()} == {Result.OK}


def test_schedules_that_nobody_wants_are_not_asked_for(account: Account) -> None:
    assert deployed(account, Schedules="DISABLED").asked()[SCHEDULES][0] is Result.NOT_ASKED
    mailing = deployed(account, MailSenderAddress="orders@shop.example")
    assert mailing.asked()[SCHEDULES][0] is Result.OK
    plan(account.clients["scheduler"].update_schedule, mailing.id(f"{MAILS}EveryMinute"), state="DISABLED")
    assert mailing.asked()[SCHEDULES] == (Result.FAILED, f"{MAILS}EveryMinute is DISABLED")


def test_the_region_is_that_of_the_address_or_of_the_shell() -> None:
    assert region_of("https://a1b2c3.execute-api.eu-central-1.amazonaws.com") == "eu-central-1"
    assert region_of("https://a1b2c3.execute-api.cn-north-1.amazonaws.com.cn/") == "cn-north-1"
    assert region_of("https://api.shop.example") is None


def test_the_stack_is_looked_for_where_the_address_is(aws: str) -> None:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    lines: list[Line] = []
    template = {"Resources": {"OneDeadLetterQueue": {"Type": "AWS::SQS::Queue"}}}
    there = boto3.client("cloudformation", region_name="eu-central-1")
    there.create_stack(StackName=name, TemplateBody=json.dumps(template))
    options = Options(url="https://a1b2c3.execute-api.eu-central-1.amazonaws.com", stack=name)
    _ask_account(options, Report(lines.append))
    assert (lines[0].result, lines[0].seen) == (Result.OK, "1 resources in eu-central-1")


@pytest.mark.parametrize(("target", "decides"), [("smoke", False), ("check-ledger", False), ("build", True)])
def test_make_decides_for_no_region_where_an_account_is_asked(target: str, decides: bool) -> None:
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    rules = subprocess.run(
        ["make", "-np", target], cwd=ROOT, env=shell, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert ("AWS_DEFAULT_REGION = us-east-1" in rules) is decides


def test_an_empty_stack_is_no_pass(account: Account) -> None:
    empty = Account(account.clients, [Resource("AWS::RDS::DBProxy", "DatabaseProxy", "unheard-of")])
    assert {result for result, _ in empty.asked().values()} == {Result.FAILED}


def test_resources_come_from_the_stack(account: Account) -> None:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    template: dict[str, Any] = {"Resources": {"OneDeadLetterQueue": {"Type": "AWS::SQS::Queue"}}}
    template["Parameters"] = {"Schedules": {"Type": "String", "Default": "ENABLED"}}
    account.clients["cloudformation"].create_stack(StackName=name, TemplateBody=json.dumps(template))
    assert parameters_of(name, account.clients) == {"Schedules": "ENABLED"}
    assert [(row.type, row.logical_id) for row in resources_of(name, account.clients)] == [
        ("AWS::SQS::Queue", "OneDeadLetterQueue")
    ]
