"""What only the AWS account knows: pinned sessions, messages in dead-letter queues, schedules that do not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from smoke.report import NotAsked, Report, expect

LOOK_BACK_HOURS = 3
MAILS = "NotificationsFunction"
"""The function whose schedule the template leaves disabled while `MailSenderAddress` is empty."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the stack."""

    type: str
    logical_id: str
    physical_id: str


def resources_of(stack: str, clients: Mapping[str, Any]) -> list[Resource]:
    """Return every resource of a stack."""
    pages = clients["cloudformation"].get_paginator("list_stack_resources").paginate(StackName=stack)
    return [
        Resource(row["ResourceType"], row["LogicalResourceId"], row.get("PhysicalResourceId", ""))
        for page in pages
        for row in page["StackResourceSummaries"]
    ]


def parameters_of(stack: str, clients: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters that a stack was deployed with, defaults included."""
    [described] = clients["cloudformation"].describe_stacks(StackName=stack)["Stacks"]
    return {row["ParameterKey"]: row.get("ParameterValue", "") for row in described.get("Parameters", [])}


def ask_account(
    resources: Sequence[Resource], parameters: Mapping[str, str], clients: Mapping[str, Any], report: Report
) -> None:
    """Run the checks of an account. ``parameters`` are the stack's, and ``clients`` are boto3's, by service."""
    with report.check("RDS Proxy pins no session") as seen:
        seen.append(_pinned(_of(resources, "AWS::RDS::DBProxy"), clients["cloudwatch"]))
    with report.check("dead-letter queues are empty") as seen:
        queues = [row for row in _of(resources, "AWS::SQS::Queue") if "DeadLetter" in row.logical_id]
        depths = {row.logical_id: _depth(clients["sqs"], row.physical_id) for row in queues}
        full = {name: depth for name, depth in depths.items() if depth}
        expect(bool(queues) and not full, f"messages in {full}" if full else "the stack has none")
        seen.append(f"{len(queues)} queues")
    with report.check("schedules are enabled, and each has a dead-letter queue") as seen:
        seen.append(_schedules(resources, parameters, clients["scheduler"]))
    with report.check("no alarm is ringing") as seen:
        names = [row.physical_id for row in _of(resources, "AWS::CloudWatch::Alarm")]
        ringing = [name for part in range(0, len(names), 100) for name in _ringing(clients["cloudwatch"], names, part)]
        expect(bool(names) and not ringing, ", ".join(ringing) or "the stack has none")
        seen.append(f"{len(names)} alarms")


def _of(resources: Sequence[Resource], kind: str) -> list[Resource]:
    return [row for row in resources if row.type == kind]


def _pinned(proxies: Sequence[Resource], cloudwatch: Any) -> str:
    if not proxies:
        return "the stack has no proxy (DatabaseAccess=pause)"
    now = datetime.now(UTC)
    read = cloudwatch.get_metric_statistics(
        Namespace="AWS/RDS",
        MetricName="DatabaseConnectionsCurrentlySessionPinned",
        Dimensions=[{"Name": "ProxyName", "Value": proxies[0].physical_id}],
        StartTime=now - timedelta(hours=LOOK_BACK_HOURS),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )
    points = [point["Maximum"] for point in read["Datapoints"]]
    expect(bool(points), f"no figure of the last {LOOK_BACK_HOURS} hours: has anybody called?")
    expect(max(points) == 0, f"{max(points):g} sessions were pinned")
    return f"0 in {len(points)} minutes with figures"


def _depth(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def _schedules(resources: Sequence[Resource], parameters: Mapping[str, str], scheduler: Any) -> str:
    schedules = _of(resources, "AWS::Scheduler::Schedule")
    expect(bool(schedules), "the stack has none")
    mailless = _without_mail(resources, parameters)
    wrong, off = [], 0
    for row in schedules:
        group, _, name = row.physical_id.rpartition("|")
        read = scheduler.get_schedule(Name=name, GroupName=group or "default")
        is_needless = read["Target"]["Arn"].rpartition(":")[2] in mailless
        if read["State"] != "ENABLED" and not is_needless and parameters.get("Schedules") != "DISABLED":
            wrong.append(f"{row.logical_id} is {read['State']}")
        off += is_needless
        if not read["Target"].get("DeadLetterConfig", {}).get("Arn"):
            wrong.append(f"{row.logical_id} has no dead-letter queue")
    expect(not wrong, "; ".join(wrong))
    if parameters.get("Schedules") == "DISABLED":
        raise NotAsked("the stack has Schedules=DISABLED: nothing runs by itself")
    return f"{len(schedules)} schedules" + (f", {off} of them off: no MailSenderAddress" if off else "")


def _without_mail(resources: Sequence[Resource], parameters: Mapping[str, str]) -> set[str]:
    """Return the names of the functions that a stack without a sender of mails never wakes."""
    if parameters.get("MailSenderAddress"):
        return set()
    return {row.physical_id for row in _of(resources, "AWS::Lambda::Function") if row.logical_id == MAILS}


def _ringing(cloudwatch: Any, names: Sequence[str], begin: int) -> list[str]:
    read = cloudwatch.describe_alarms(AlarmNames=list(names[begin : begin + 100]))
    return [alarm["AlarmName"] for alarm in read["MetricAlarms"] if alarm["StateValue"] == "ALARM"]
