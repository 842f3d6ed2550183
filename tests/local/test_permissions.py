"""What a role in the template does not allow is refused locally as well, and every call of the product is listed."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from botocore.session import get_session

from local import template
from local.model import Function, Permission
from local.permissions import CALLS, DENIED, Guard, UnknownCall, refusal
from tests.architecture.template import PATH

QUEUE = "http://127.0.0.1:9/123456789012/"
SENDER = {"FromEmailAddress": "Demo <orders@shop.example>", "ConfigurationSetName": "holdfast-local"}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:holdfast-archive/local/key"


@pytest.fixture(scope="module")
def functions() -> Mapping[str, Function]:
    plan = template.read(
        PATH,
        aws_url="http://127.0.0.1:9",
        parameters={"Environment": "local", "MailSenderAddress": "orders@shop.example"},
        environment={"COLD_STORAGE_FUNCTION": ""},
    )
    return {function.name: function for function in plan.functions}


@pytest.mark.parametrize(
    ("function", "service", "operation", "parameters", "allowed"),
    [
        ("checkout", "sqs", "SendMessage", {"QueueUrl": f"{QUEUE}OutboxBellQueue"}, True),
        ("checkout", "sqs", "SendMessage", {"QueueUrl": f"{QUEUE}NotificationsQueue"}, False),
        ("stock", "sqs", "SendMessage", {"QueueUrl": f"{QUEUE}OutboxBellQueue"}, False),
        ("checkout", "geo-places", "Geocode", {}, True),
        ("orders", "geo-places", "Geocode", {}, False),
        ("checkout", "secretsmanager", "GetSecretValue", {"SecretId": "holdfast/local/stripe"}, True),
        ("checkout", "secretsmanager", "GetSecretValue", {"SecretId": "holdfast/other/stripe"}, False),
        ("checkout", "secretsmanager", "GetSecretValue", {"SecretId": SECRET}, False),
        ("archival", "secretsmanager", "GetSecretValue", {"SecretId": SECRET}, True),
        ("outbox_relay", "events", "PutEvents", {"Entries": [{"EventBusName": "holdfast-local"}]}, True),
        ("outbox_relay", "events", "PutEvents", {"Entries": [{"EventBusName": "default"}]}, False),
        ("cold_export", "s3", "PutObject", {"Bucket": "holdfast-local-archivebucket", "Key": "a/b"}, True),
        ("cold_export", "s3", "PutObject", {"Bucket": "another", "Key": "a/b"}, False),
        ("orders", "s3", "GetObject", {"Bucket": "holdfast-local-archivebucket", "Key": "a/b"}, True),
        ("stock", "s3", "GetObject", {"Bucket": "holdfast-local-archivebucket", "Key": "a/b"}, False),
        ("notifications", "sesv2", "SendEmail", SENDER, True),
        ("mails", "sesv2", "SendEmail", SENDER, False),
    ],
)
def test_a_call_is_judged_by_the_role_of_its_function(
    functions: Mapping[str, Function],
    function: str,
    service: str,
    operation: str,
    parameters: Mapping[str, Any],
    allowed: bool,
) -> None:
    refused = refusal(functions[function], service, operation, parameters)
    assert (refused is None) == allowed, refused


def test_a_call_that_nobody_listed_is_an_error(functions: Mapping[str, Function]) -> None:
    with pytest.raises(UnknownCall, match="sqs PurgeQueue"):
        refusal(functions["checkout"], "sqs", "PurgeQueue", {})


def test_every_listed_call_is_one_of_the_service() -> None:
    for service, operation in CALLS:
        assert operation in get_session().get_service_model(service).operation_names


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Guard:
    """Return a guard that checks the AWS calls of this process during one test."""
    monkeypatch.setattr(BaseClient, "_make_api_call", BaseClient._make_api_call)
    made = Guard()
    made.install()
    return made


def test_a_refused_call_never_leaves_the_process_and_is_written_down(
    aws: str, guard: Guard, functions: Mapping[str, Function], capsys: pytest.CaptureFixture[str]
) -> None:
    client = boto3.client("sqs", endpoint_url=aws)
    url = client.create_queue(QueueName="OutboxBellQueue")["QueueUrl"]  # no function is at work, so nothing is checked

    guard.function = functions["checkout"]
    client.send_message(QueueUrl=url, MessageBody="allowed")
    guard.function = dataclasses.replace(functions["checkout"], permissions=(Permission(("sqs:SendMessage",), ("x",)),))
    with pytest.raises(ClientError) as refused:
        client.send_message(QueueUrl=url, MessageBody="refused")
    guard.function = None

    assert refused.value.response["Error"]["Code"] == DENIED
    assert "CheckoutFunction is not authorized to perform: sqs:SendMessage" in capsys.readouterr().err
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert [message["Body"] for message in answer["Messages"]] == ["allowed"]
