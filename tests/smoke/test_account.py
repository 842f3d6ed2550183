"""What the smoke test reads from an AWS account, tested on an emulation."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from smoke.account import Resource, ask_account, resources_of
from smoke.report import Report, Result

CHECKS = [
    "RDS Proxy pins no session",
    "dead-letter queues are empty",
    "schedules are enabled, and each has a dead-letter queue",
    "no alarm is ringing",
]


@dataclass(frozen=True)
class Account:
    """The resources of a stack, and boto3's clients."""

    clients: Mapping[str, Any]
    resources: list[Resource]

    def id(self, logical_id: str) -> str:
        return next(row.physical_id for row in self.resources if row.logical_id == logical_id)

    def asked(self) -> dict[str, tuple[Result, str]]:
        report = Report(lambda _line: None)
        ask_account(self.resources, self.clients, report)
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


def plan(put: Any, name: str, *, state: str = "ENABLED", dead_letters: bool = True) -> None:
    arn = "arn:aws:sqs:us-east-1:123456789012:dead"
    target = {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "RoleArn": "arn:aws:iam::123456789012:role/r"}
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


def test_an_empty_stack_is_no_pass(account: Account) -> None:
    empty = Account(account.clients, [Resource("AWS::RDS::DBProxy", "DatabaseProxy", "unheard-of")])
    assert {result for result, _ in empty.asked().values()} == {Result.FAILED}


def test_resources_come_from_the_stack(account: Account) -> None:
    name = f"stack-{uuid.uuid4().hex[:8]}"
    template = {"Resources": {"OneDeadLetterQueue": {"Type": "AWS::SQS::Queue"}}}
    account.clients["cloudformation"].create_stack(StackName=name, TemplateBody=json.dumps(template))
    assert [(row.type, row.logical_id) for row in resources_of(name, account.clients)] == [
        ("AWS::SQS::Queue", "OneDeadLetterQueue")
    ]
