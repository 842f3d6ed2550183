"""Alarms: whatever goes wrong wakes somebody and says where to read on."""

import ast
import re
from collections.abc import Iterator
from functools import cache, partial
from typing import Any, Final

from tests.architecture.rules.rule import rule
from tests.architecture.template import ROOT, Template, everything, folder

RUNBOOK: Final = re.compile(r" See docs/operations\.md#(?P<anchor>[a-z]+)$")

WATCHED: Final = {
    "ArchiveBatchesBlocked": "the archive: batches that an open discrepancy keeps from being purged",
    "ArchiveDiscrepancies": "the archive: orders that are not as they were sealed",
    "ArchiveLooksLate": "the archive: what should have been looked at within the month",
    "ColdFilesBroken": "the archive: files of cold storage",
    "DatabaseConnections": "connections of the database",
    "DatabaseConnectionsCurrentlySessionPinned": "sessions that RDS Proxy cannot share",
    "DeadLettersOpen": "payment events that need a person",
    "DefaultPartitionRows": "months that were not there in time",
    "DisputesDueSoon": "disputes whose answer is due",
    "ExpiryUnfinished": "holds that are not released in time",
    "LedgerDifferences": "stock that its movements do not explain",
    "MessagesGivenUp": "messages that crashed their function",
    "MoneyDifferencesOpen": "the money watchdog",
    "WebhooksRefused": "webhooks that are refused, whatever the gateway",
}
"""What alarms must watch in addition to every function, queue and schedule."""

COUNTED_AGAIN: Final = {
    "ArchiveDiscrepancies": "what a nightly look found is open, and what is open is counted every hour",
}
"""Metrics that a function counts at each of its paces, whichever of its looks found the trouble."""

MINUTES: Final = {"minute": 1, "minutes": 1, "hour": 60, "hours": 60, "day": 1440, "days": 1440}
LONGEST_LOOK_BACK_MINUTES: Final = 2 * 1440
"""How far back an alarm can look, with room for a late tick. None would notice that a rarer tick is missing."""


def metrics(alarm: Any) -> Iterator[tuple[Any, str, list[Any], Any]]:
    """Yield (namespace, name, dimensions, the part with period and statistic) of what an alarm watches."""
    if "MetricName" in alarm:
        yield alarm["Namespace"], alarm["MetricName"], alarm.get("Dimensions", []), alarm
    for each in alarm.get("Metrics", []):
        chosen = each["Fn::If"][1] if "Fn::If" in each else each
        if "MetricStat" in chosen:
            metric = chosen["MetricStat"]["Metric"]
            yield metric["Namespace"], metric["MetricName"], metric.get("Dimensions", []), chosen["MetricStat"]


def _watched(template: Template, value: Any) -> set[str]:
    """Return the names of the metrics that alarms watch with this value of a dimension."""
    return {
        metric
        for alarm in template.alarms.values()
        for _, metric, dimensions, _ in metrics(alarm)
        if value in [dimension["Value"] for dimension in dimensions]
    }


@rule(
    lambda template: template.resources.pop("StockFunctionAlarm"),
    lambda template: template.alarms["StockFunctionAlarm"]["Metrics"].pop(),
    lambda template: template.resources.pop("PaymentEventsQueueAgeAlarm"),
    lambda template: template.resources.pop("ScheduleDeadLetterQueueAlarm"),
)
def trouble_with_any_queue_or_function_wakes_somebody(template: Template) -> Iterator[str]:
    for function in template.functions:
        missing = {"Errors", "Throttles"} - _watched(template, {"Ref": function})
        if missing:
            yield f"Add {function}Alarm: it watches {sorted(missing)}."
    for queue in template.queues:
        wanted = {"ApproximateNumberOfMessagesVisible"}
        if queue not in template.dead_letter_queues:
            wanted.add("ApproximateAgeOfOldestMessage")
        missing = wanted - _watched(template, {"Fn::GetAtt": f"{queue}.QueueName"})
        if missing:
            yield f"Add an alarm for {queue}: it watches {sorted(missing)}."


def _pace_minutes(expression: str) -> int:
    found = re.fullmatch(r"rate\((\d+) (\w+)\)", expression)
    assert found, f"{expression}: this rule reads rates alone"
    return int(found[1]) * MINUTES[found[2]]


@rule(
    lambda template: template.alarms["MinuteSchedulesSilentAlarm"]["Metrics"].pop(),
    lambda template: template.resources.pop("DailySchedulesSilentAlarm"),
    lambda template: template.alarms["HourlySchedulesSilentAlarm"].update(TreatMissingData="notBreaching"),
    lambda template: template.alarms["HourlySchedulesSilentAlarm"].update(EvaluationPeriods=1),
    lambda template: template.functions["ColdExportFunction"]["Events"].pop("EveryFiveMinutes"),
)
def a_clock_that_stands_still_wakes_somebody(template: Template) -> Iterator[str]:
    paces = {function: min(each) for function, each in _paces(template).items()}
    looks: dict[str, int] = {}
    for name, alarm in template.alarms.items():
        if not name.endswith("SchedulesSilentAlarm"):
            continue
        if alarm["TreatMissingData"] != "breaching":
            yield f"{name}: no data means no invocation, `TreatMissingData: breaching`."
        for _, _, dimensions, stated in metrics(alarm):
            looks[dimensions[0]["Value"]["Ref"]] = stated["Period"] * alarm["EvaluationPeriods"] // 60
    for function, pace in paces.items():
        if pace * 2 > LONGEST_LOOK_BACK_MINUTES:
            yield f"{function} runs every {pace} minutes: no alarm looks back far enough to miss it."
        elif function not in looks:
            yield f"{function}: add it to the ...SchedulesSilentAlarm of its pace."
        elif looks[function] < pace * 2:
            yield f"{function}: an alarm over {looks[function]} minutes is raised by one late tick."


def _paces(template: Template) -> dict[str, list[int]]:
    """Return the minutes between the ticks of every schedule, by function."""
    paces: dict[str, list[int]] = {}
    for function, _, properties in template.events("ScheduleV2"):
        paces.setdefault(function, []).append(_pace_minutes(properties["ScheduleExpression"]))
    return paces


def _forget(template: Template, metric: str) -> None:
    for name, alarm in template.alarms.items():
        if metric in {watched for _, watched, _, _ in metrics(alarm)}:
            del template.resources[name]


@rule(*(partial(_forget, metric=metric) for metric in WATCHED))
def every_trouble_of_the_product_wakes_somebody(template: Template) -> Iterator[str]:
    watched = {metric for alarm in template.alarms.values() for _, metric, _, _ in metrics(alarm)}
    for metric, what in WATCHED.items():
        if metric not in watched:
            yield f"Add an alarm on {metric}: {what}."


def _is_of_aws(namespace: Any) -> bool:
    return str(namespace).startswith("AWS/")


def _variables(template: Template) -> Any:
    return template.raw["Globals"]["Function"]["Environment"]["Variables"]


@rule(
    lambda template: template.alarms["CriticalDeadLettersAlarm"].update(Namespace="Holdfast"),
    lambda template: template.alarms["LedgerAlarm"]["Metrics"][1]["MetricStat"]["Metric"].update(Namespace="Holdfast"),
    lambda template: _variables(template).update(POWERTOOLS_METRICS_NAMESPACE="Holdfast"),
    lambda template: _variables(template).pop("POWERTOOLS_METRICS_NAMESPACE"),
)
def environments_of_one_account_do_not_share_their_metrics(template: Template) -> Iterator[str]:
    counted = _variables(template).get("POWERTOOLS_METRICS_NAMESPACE")
    if "${Environment}" not in everything(counted):
        yield "Globals: POWERTOOLS_METRICS_NAMESPACE names the environment, or zeros of `dev` calm alarms of `prod`."
    for name, alarm in template.alarms.items():
        for namespace, metric, _, _ in metrics(alarm):
            if not _is_of_aws(namespace) and namespace != counted:
                yield f"{name}: {metric} is counted in {counted}."


@rule(
    lambda template: template.raw["Parameters"]["LogLevel"]["AllowedValues"].append("WARN"),
    lambda template: template.raw["Globals"]["Function"]["LoggingConfig"].update(ApplicationLogLevel="ERROR"),
    lambda template: template.functions["StockFunction"]["LoggingConfig"].update(ApplicationLogLevel="WARN"),
)
def no_log_level_drops_the_metrics(template: Template) -> Iterator[str]:
    """Lambda takes a line of JSON without a level, such as an embedded metric, for INFO."""
    shared = {"Globals": template.raw["Globals"]["Function"]}
    for name, properties in (shared | template.functions).items():
        level = properties["LoggingConfig"].get("ApplicationLogLevel", "INFO")
        levels = [level] if isinstance(level, str) else template.raw["Parameters"][level["Ref"]]["AllowedValues"]
        if not {"DEBUG", "INFO"}.issuperset(levels):
            yield f"{name}: ApplicationLogLevel is INFO at most, or Lambda drops what the alarms watch."


@cache
def emitted() -> dict[str, dict[frozenset[str], set[str]]]:
    """Return the metrics that the code emits: for each of its sets of dimensions, in which folders."""
    found: dict[str, dict[frozenset[str], set[str]]] = {}
    package = ROOT / "layers" / "holdfast" / "holdfast"
    for path in [*(ROOT / "functions").glob("*/app.py"), *package.rglob("*.py")]:
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(part, ast.Call) and getattr(part.func, "id", "") == "count" and part.args:
                dimensions = frozenset(str(keyword.arg) for keyword in part.keywords if keyword.arg != "value")
                if isinstance(part.args[0], ast.Constant):
                    by = found.setdefault(str(part.args[0].value), {})
                    by.setdefault(dimensions, set()).add(path.parent.name)
    return found


@rule(
    lambda template: template.alarms["MoneyDifferencesAlarm"].update(MetricName="MoneyDifference"),
    lambda template: template.alarms["MailsFailedAlarm"].pop("Dimensions"),
    lambda template: template.alarms["WebhooksRefusedAlarm"].update(
        Dimensions=[{"Name": "Gateway", "Value": "stripe"}]
    ),
)
def an_alarm_watches_what_the_code_counts(template: Template) -> Iterator[str]:
    for name, alarm in template.alarms.items():
        for namespace, metric, dimensions, _ in metrics(alarm):
            if _is_of_aws(namespace):
                continue
            wanted = frozenset(dimension["Name"] for dimension in dimensions)
            if wanted not in emitted().get(metric, {}):
                yield f"{name}: nobody counts {metric} by {sorted(wanted) or 'nothing'}; the alarm would never ring."


@rule(
    lambda template: template.alarms["DefaultPartitionRowsAlarm"].update(Period=3600),
    lambda template: template.alarms["LedgerAlarm"]["Metrics"][1]["MetricStat"].update(Period=3600),
    lambda template: template.alarms["ArchiveLooksLateAlarm"].update(Period=3600),
)
def an_alarm_does_not_end_before_its_trouble_is_counted_again(template: Template) -> Iterator[str]:
    paces = {folder(function): max(each) for function, each in _paces(template).items()}
    for name, alarm in template.alarms.items():
        for namespace, metric, dimensions, stated in metrics(alarm):
            if _is_of_aws(namespace) or metric in COUNTED_AGAIN:
                continue
            by = emitted().get(metric, {}).get(frozenset(dimension["Name"] for dimension in dimensions), set())
            pace = max((paces.get(each, 0) for each in by), default=0)
            if stated["Period"] < pace * 60:
                yield f"{name}: {metric} may be counted every {pace} minutes alone; `Period: {pace * 60}` at least."


@rule(
    lambda template: template.alarms["StockFunctionAlarm"].pop("AlarmActions"),
    lambda template: template.alarms["StockFunctionAlarm"].pop("OKActions"),
    lambda template: template.alarms["StockFunctionAlarm"].pop("TreatMissingData"),
    lambda template: template.alarms["StockFunctionAlarm"].update(ActionsEnabled=False),
)
def an_alarm_tells_people_and_says_what_silence_means(template: Template) -> Iterator[str]:
    for name, alarm in template.alarms.items():
        if alarm.get("AlarmActions") != [{"Ref": "AlertTopic"}] or alarm.get("OKActions") != [{"Ref": "AlertTopic"}]:
            yield f"{name} tells nobody: AlarmActions and OKActions are [!Ref AlertTopic]."
        if alarm.get("TreatMissingData") not in {"notBreaching", "breaching"}:
            yield f"{name}: say in TreatMissingData what it means when nothing is counted."
        if "ActionsEnabled" in alarm:
            yield f"{name}: an alarm that does nothing is none."


def _anchors() -> set[str]:
    """Return the link targets of docs/operations.md: its headings, as GitHub names them, and its own anchors."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"></a>', text))


@rule(
    lambda template: template.alarms["StockFunctionAlarm"].update(AlarmDescription="Something is wrong."),
    lambda template: template.alarms["StockFunctionAlarm"].update(
        AlarmDescription="Something is wrong. See docs/operations.md#stockalarm"
    ),
    lambda template: template.resources.update(NewAlarm=template.resources["StockFunctionAlarm"]),
)
def an_alarm_leads_to_its_runbook(template: Template) -> Iterator[str]:
    anchors = _anchors()
    for name, alarm in template.alarms.items():
        found = RUNBOOK.search(alarm.get("AlarmDescription", ""))
        if not found or found["anchor"] != name.lower():
            yield f"{name}: its description ends with `See docs/operations.md#{name.lower()}`."
        if name.lower() not in anchors:
            yield f'docs/operations.md: add a section `### {name}`, or a row with `<a id="{name.lower()}"></a>`.'


@rule(lambda template: template.resources["AlertTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"].pop(0))
def alarms_may_publish_alerts(template: Template) -> Iterator[str]:
    policy = everything(template.resources["AlertTopicPolicy"])
    if "cloudwatch.amazonaws.com" not in policy or "aws:SourceAccount" not in policy:
        yield "AlertTopicPolicy: let cloudwatch.amazonaws.com publish, for this account alone."
