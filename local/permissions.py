"""What a function may ask of AWS: checks every AWS call that its code makes here against its role in template.yaml.

The emulation knows no IAM. So a call is judged before it leaves the function's process, and refused as AWS would refuse
it: what works here does not fail in the cloud for a missing permission. Keys, networks and resource policies are not
judged; tests/architecture/test_permissions.py compares roles and code in full.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from local.model import ACCOUNT, REGION, Function, Permission

DENIED: Final = "AccessDeniedException"
REFUSED: Final = "is not authorized to perform:"
"""The words of IAM's refusal, which a log can be searched for."""
STANDS_IN: Final = {"s3:GetObject": "lambda:InvokeFunction"}
"""Actions that stand in for others. Here, an order in cold storage is read in the process of the function that asks; in
the cloud, by the function that it invokes."""


class UnknownCall(LookupError):
    """The code makes an AWS call that CALLS does not list. Say there what it needs."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one operation needs: every action of `actions`, on the resources that its parameters name."""

    actions: tuple[str, ...]
    resources: Callable[[Mapping[str, Any]], Sequence[str]]


def _arn(service: str, name: object, *, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{name}"


def _named(service: str, parameter: str, prefix: str = "") -> Callable[[Mapping[str, Any]], list[str]]:
    """Return a function from parameters to the resource whose name, URL or ARN one of them holds."""

    def resources(parameters: Mapping[str, Any]) -> list[str]:
        value = str(parameters[parameter])
        return [value if value.startswith("arn:") else _arn(service, prefix + value.rpartition("/")[2])]

    return resources


def _secret(parameters: Mapping[str, Any]) -> list[str]:
    value = str(parameters["SecretId"])
    return [value if value.startswith("arn:") else _arn("secretsmanager", f"secret:{value}")]


def _object(parameters: Mapping[str, Any]) -> list[str]:
    return [f"arn:aws:s3:::{parameters['Bucket']}/{parameters['Key']}"]


def _buses(parameters: Mapping[str, Any]) -> list[str]:
    return [_arn("events", f"event-bus/{entry['EventBusName']}") for entry in parameters["Entries"]]


def _sender(parameters: Mapping[str, Any]) -> list[str]:
    domain = str(parameters["FromEmailAddress"]).rpartition("@")[2].rstrip(">")
    sets = [parameters["ConfigurationSetName"]] if "ConfigurationSetName" in parameters else []
    return [_arn("ses", f"identity/{domain}"), *(_arn("ses", f"configuration-set/{name}") for name in sets)]


_POOL: Final = _named("cognito-idp", "UserPoolId", "userpool/")
_QUEUE: Final = _named("sqs", "QueueUrl")

CALLS: Final[Mapping[tuple[str, str], Call]] = {
    ("cognito-idp", "AdminCreateUser"): Call(("cognito-idp:AdminCreateUser",), _POOL),
    ("cognito-idp", "AdminInitiateAuth"): Call(("cognito-idp:AdminInitiateAuth",), _POOL),
    ("cognito-idp", "AdminSetUserPassword"): Call(("cognito-idp:AdminSetUserPassword",), _POOL),
    ("events", "PutEvents"): Call(("events:PutEvents",), _buses),
    ("geo-places", "Geocode"): Call(
        ("geo-places:Geocode",), lambda _: [_arn("geo-places", "provider/default", account="")]
    ),
    ("lambda", "Invoke"): Call(("lambda:InvokeFunction",), _named("lambda", "FunctionName", "function:")),
    ("s3", "ListObjectsV2"): Call(("s3:ListBucket",), lambda parameters: [f"arn:aws:s3:::{parameters['Bucket']}"]),
    ("s3", "GetObject"): Call(("s3:GetObject",), _object),
    ("s3", "PutObject"): Call(("s3:PutObject",), _object),
    ("secretsmanager", "GetSecretValue"): Call(("secretsmanager:GetSecretValue",), _secret),
    # For IAM a mail with raw content is SendRawEmail, whatever the operation is called.
    ("sesv2", "SendEmail"): Call(("ses:SendEmail", "ses:SendRawEmail"), _sender),
    ("sns", "Publish"): Call(("sns:Publish",), _named("sns", "TopicArn")),
    ("sqs", "SendMessage"): Call(("sqs:SendMessage",), _QUEUE),
    ("sqs", "SendMessageBatch"): Call(("sqs:SendMessage",), _QUEUE),
}
"""Every AWS call that the product makes, by botocore's names of service and operation."""


def refusal(function: Function, service: str, operation: str, parameters: Mapping[str, Any]) -> str | None:
    """Return why the function's role does not allow a call, in the words of IAM, or `None` if it does.

    Raises UnknownCall.
    """
    call = CALLS.get((service, operation))
    if call is None:
        raise UnknownCall(f"{service} {operation}: list it in local/permissions.py")
    for action in call.actions:
        for resource in call.resources(parameters):
            if not _allowed(function.permissions, action, resource):
                return f"{function.logical_id} {REFUSED} {action} on resource: {resource}"
    return None


def _allowed(permissions: Sequence[Permission], action: str, resource: str) -> bool:
    for permission in permissions:
        if action in permission.actions and any(fnmatchcase(resource, pattern) for pattern in permission.resources):
            return True
        if STANDS_IN.get(action) in permission.actions:
            return True
    return False


class Guard:
    """Judges the calls of one process, on behalf of the function that is working in it."""

    def __init__(self) -> None:
        self.function: Function | None = None

    def install(self) -> None:
        """Put the guard before every call of every client that botocore creates in this process."""
        from botocore.client import BaseClient  # noqa: PLC0415 (0.1 s of imports)

        client: Any = BaseClient  # its stubs do not have the method that all calls go through
        sends = client._make_api_call  # noqa: SLF001 (botocore has no other place before the retries)

        def judged(of: Any, operation: str, parameters: Mapping[str, Any]) -> Any:
            self._judge(of.meta.service_model.service_name, operation, parameters)
            return sends(of, operation, parameters)

        client._make_api_call = judged  # noqa: SLF001 (see above)

    def _judge(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 (as above)

        if self.function is None:
            return
        refused = refusal(self.function, service, operation, parameters)
        if refused is not None:
            # Some callers go on without what they asked for, so the refusal is logged too.
            sys.stderr.write(f"{refused}\n")
            answer: Any = {
                "Error": {"Code": DENIED, "Message": refused},
                "ResponseMetadata": {"HTTPStatusCode": 403},
            }
            raise ClientError(answer, operation)
