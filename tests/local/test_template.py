from pathlib import Path

import pytest

from local import template
from local.intrinsics import TemplateError
from local.model import Function, Plan

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "sample" / "template.yaml"
AWS = "http://127.0.0.1:4000"
PARAMETERS = {"Environment": "local", "JwtIssuer": "http://i", "JwtAudience": "holdfast", "StripeBaseUrl": "http://s"}


def read(path: Path = SAMPLE, **parameters: str) -> Plan:
    return template.read(path, aws_url=AWS, parameters=PARAMETERS | parameters, environment={"DATABASE_HOST": "here"})


def function(plan: Plan, name: str) -> Function:
    return next(function for function in plan.functions if function.name == name)


def test_environments_are_resolved_and_what_is_local_wins() -> None:
    environment = function(read(), "echo").environment
    assert environment == {
        "GREETING": "hello",
        "WORK_QUEUE_URL": f"{AWS}/123456789012/WorkQueue",
        "EVENT_BUS_NAME": "holdfast-local",
        "TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:Topic",
        "PLACE": "us-east-1/local/${literal}",
        "PART": "b",
        "DATABASE_USER": "first",
        "DATABASE_HOST": "here",
    }


def test_routes_say_who_may_call_them() -> None:
    routes = {route.path: route.is_public for route in function(read(), "echo").routes}
    assert routes["/echo"] is False
    assert routes["/public/{do}"] is True


def test_queues_carry_their_source_and_their_redrive() -> None:
    plan = read()
    (source,) = function(plan, "worker").queues
    assert (source.batch_size, source.reports_item_failures, source.max_concurrency) == (5, True, 2)
    queues = {queue.name: queue for queue in plan.resources.queues}
    assert queues["WorkQueue"].redrive_to == "arn:aws:sqs:us-east-1:123456789012:WorkDeadLetterQueue"
    assert queues["WorkQueue"].max_receive_count == 2


def test_schedules_that_are_disabled_are_not_there() -> None:
    assert [schedule.name for schedule in function(read(), "ticker").schedules] == ["TickerFunctionOften"]
    assert function(read(Schedules="DISABLED"), "ticker").schedules == ()


def test_resources_of_a_condition_that_does_not_hold_are_not_made() -> None:
    resources = read().resources
    assert "CloudQueue" not in {queue.name for queue in resources.queues}
    assert resources.secrets == {"sample/local/key": "abc"}
    assert resources.buckets == ("holdfast-local-bucket",)


def test_functions_share_a_group_only_when_their_environments_are_equal() -> None:
    groups = {name: {function.name for function in group} for name, group in read().groups().items()}
    assert groups == {"first": {"echo", "broken", "worker"}, "second": {"ticker"}}


def test_the_plan_survives_its_journey_to_another_process(tmp_path: Path) -> None:
    plan = read()
    plan.dump(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert (tmp_path / "plan.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: {A: [", "cannot be read"),
        ("Resources: {F: {Type: AWS::Serverless::Function, Properties: {CodeUri: !Ref X}}}", "!Ref X names neither"),
        ("Resources: {F: {Type: AWS::Serverless::Function, Properties: {CodeUri: !GetAtt X.Y}}}", "X.Y names no"),
        ("Resources: {F: {Type: AWS::Serverless::Function, Properties: {CodeUri: !Cidr [a]}}}", "Fn::Cidr is not"),
        ("Resources: {F: {Type: AWS::SQS::Queue, Condition: C}}", "condition C is not defined"),
        ("Parameters: {P: {Type: String}}\nResources: {}", "parameter P has neither"),
    ],
)
def test_a_template_that_cannot_be_followed_is_refused_with_its_reason(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "template.yaml").write_text(text)
    with pytest.raises(TemplateError, match=message):
        template.read(tmp_path / "template.yaml", aws_url=AWS, environment={})


def test_the_template_of_the_product_has_a_handler_behind_every_trigger() -> None:
    plan = read(ROOT / "template.yaml")
    for each in plan.functions:
        assert (Path(each.folder) / "app.py").exists(), each.name
    http = [each for group in plan.groups().values() for each in group if each.routes]
    assert {route.path for each in http for route in each.routes} >= {"/v1/checkout", "/v1/orders/{reference}"}
    assert len({tuple(sorted(each.environment.items())) for each in http}) == 1, "HTTP functions share one group"
