"""Queues and schedules: nothing is lost, repeated without need, or overrun."""

from collections.abc import Iterator
from typing import Any, Final

from tests.architecture.rules.rule import rule
from tests.architecture.template import Template, as_list, target

VISIBILITY_PER_TIMEOUT: Final = 6
"""The visibility timeout of a queue as a multiple of its function's timeout, as the Lambda guide asks for."""
RECEIVES_MIN: Final = 2
RECEIVES_MAX: Final = 10


def _source(template: Template, function: str) -> Any:
    return next(properties for owner, _, properties in template.events("SQS") if owner == function)


def _tick(template: Template, function: str) -> Any:
    return next(properties for owner, _, properties in template.events("ScheduleV2") if owner == function)


@rule(
    lambda template: template.queues["PaymentEventsQueue"].pop("RedrivePolicy"),
    lambda template: template.queues["OutboxBellQueue"]["RedrivePolicy"].update(maxReceiveCount=1),
    lambda template: template.queues["OutboxBellDeadLetterQueue"].update(MessageRetentionPeriod=60),
)
def a_message_that_crashes_its_function_is_kept_in_a_dead_letter_queue(template: Template) -> Iterator[str]:
    for name in sorted(set(template.queues) - template.dead_letter_queues):
        redrive = template.queues[name].get("RedrivePolicy")
        if not redrive:
            yield f"{name} loses what it cannot deliver: give it a RedrivePolicy to a queue named ...DeadLetterQueue."
            continue
        kept_in = target(redrive["deadLetterTargetArn"])
        if kept_in not in template.dead_letter_queues:
            yield f"{name} redrives to {kept_in}: name it ...DeadLetterQueue."
            continue
        if not RECEIVES_MIN <= redrive["maxReceiveCount"] <= RECEIVES_MAX:
            yield f"{name}: one bad moment must not bury a message, nor a loop last."
        if template.queues[kept_in]["MessageRetentionPeriod"] <= template.queues[name]["MessageRetentionPeriod"]:
            yield f"{kept_in} must keep messages longer than {name}: their age counts from the first send."


@rule(lambda template: template.functions["DeadLetterQueuesFunction"]["Events"].popitem())
def every_queue_is_read_dead_letters_too(template: Template) -> Iterator[str]:
    read = {target(properties["Queue"]) for _, _, properties in template.events("SQS")}
    for name in sorted(set(template.queues) - read):
        yield f"Nobody reads {name}: what comes into it is found by nobody until it is too old."


@rule(
    lambda template: _source(template, "PaymentEventsFunction").pop("FunctionResponseTypes"),
    lambda template: _source(template, "PaymentEventsFunction")["ScalingConfig"].update(MaximumConcurrency=1),
)
def a_failed_message_does_not_bring_back_its_whole_batch(template: Template) -> Iterator[str]:
    for function, event, properties in template.events("SQS"):
        if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{function}.{event}: `FunctionResponseTypes: [ReportBatchItemFailures]`, or one repeats the batch."
        if properties["ScalingConfig"]["MaximumConcurrency"] < RECEIVES_MIN:
            yield f"{function}.{event}: bound it, and SQS needs >= 2."


@rule(
    lambda template: template.queues["PaymentEventsQueue"].update(VisibilityTimeout=300),
    lambda template: template.queues["OutboxBellQueue"].pop("VisibilityTimeout"),
    lambda template: template.functions["MailFeedbackFunction"].update(Timeout=31),
)
def no_message_is_delivered_again_while_it_is_being_worked_on(template: Template) -> Iterator[str]:
    for function, event, properties in template.events("SQS"):
        name = target(properties["Queue"])
        asked = VISIBILITY_PER_TIMEOUT * template.functions[function]["Timeout"]
        if template.queues[name].get("VisibilityTimeout", 30) < asked:
            yield (
                f"{name}: set VisibilityTimeout to at least {asked} = {VISIBILITY_PER_TIMEOUT} x the timeout of"
                f" {function} (event {event})."
            )


@rule(
    lambda template: _tick(template, "HousekeepingFunction").pop("DeadLetterConfig"),
    lambda template: _tick(template, "HousekeepingFunction").pop("RetryPolicy"),
    lambda template: _tick(template, "HousekeepingFunction").update(FlexibleTimeWindow={"Mode": "FLEXIBLE"}),
    lambda template: _tick(template, "HousekeepingFunction").pop("State"),
    lambda template: template.functions["HousekeepingFunction"]["EventInvokeConfig"].pop("DestinationConfig"),
)
def a_tick_that_nobody_served_is_not_lost_silently(template: Template) -> Iterator[str]:
    for function, event, properties in template.events("ScheduleV2"):
        where = f"{function}.{event}"
        if target(properties.get("DeadLetterConfig", {}).get("Arn", {})) not in template.dead_letter_queues:
            yield f"{where}: add a DeadLetterConfig."
        if "RetryPolicy" not in properties:
            yield f"{where}: the default retries for 24 hours; say a RetryPolicy."
        if properties.get("FlexibleTimeWindow") != {"Mode": "OFF"}:
            yield f"{where}: set FlexibleTimeWindow OFF."
        if "State" not in properties:
            yield f"{where}: `State: !Ref Schedules`, so that one parameter stops the clock."
        # EventBridge Scheduler only hands over the tick; Lambda has to report what fails after that.
        invoked = template.functions[function].get("EventInvokeConfig", {})
        if not invoked.get("DestinationConfig", {}).get("OnFailure"):
            yield f"{function} is invoked asynchronously: add EventInvokeConfig.DestinationConfig.OnFailure."
        if "MaximumRetryAttempts" not in invoked or "MaximumEventAgeInSeconds" not in invoked:
            yield f"{function}: say how often and for how long Lambda tries a tick again."


@rule(
    lambda template: template.resources["MailEvents"].pop("DependsOn"),
    lambda template: template.resources["MailEvents"].update(DependsOn=["AlertTopicPolicy"]),
    lambda template: template.resources.pop("MailFeedbackTopicPolicy"),
)
def who_publishes_while_it_is_made_is_made_after_the_policy_that_lets_it(template: Template) -> Iterator[str]:
    policies = template.of_type("AWS::SNS::TopicPolicy")
    for name, destination in template.of_type("AWS::SES::ConfigurationSetEventDestination").items():
        topic = destination["EventDestination"].get("SnsDestination", {}).get("TopicARN")
        before = as_list(template.resources[name].get("DependsOn", []))
        if topic and not any(topic in policies.get(policy, {}).get("Topics", []) for policy in before):
            yield f"{name}: SES tries the topic at once; DependsOn: the policy of {target(topic)}."


@rule(
    lambda template: template.functions["ArchivalFunction"].pop("ReservedConcurrentExecutions"),
    lambda template: _source(template, "PaymentEventsFunction")["ScalingConfig"].update(MaximumConcurrency=11),
)
def workers_leave_connections_of_the_database_to_shoppers(template: Template) -> Iterator[str]:
    asked: dict[str, int] = {function: 1 for function, _, _ in template.events("ScheduleV2")}
    for function, _, properties in template.events("SQS"):
        asked[function] = asked.get(function, 0) + properties["ScalingConfig"]["MaximumConcurrency"]
    for function, sandboxes in asked.items():
        reserved = template.functions[function].get("ReservedConcurrentExecutions", {}).get("Fn::If")
        if not reserved or reserved[0] != "WithReservedConcurrency":
            yield f"{function}: bound it by ReservedConcurrentExecutions, behind WithReservedConcurrency."
        elif reserved[1] < sandboxes:
            yield f"{function}: its queues and its clock may ask for {sandboxes} sandboxes, and it has {reserved[1]}."
