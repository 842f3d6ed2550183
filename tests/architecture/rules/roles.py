"""A role allows exactly what its function does: less would break in production, more would help an intruder.

What a function does comes from three sources: its code (code_reach.py: which calls of AWS it can reach, and which
setting names the resource), what the template connects to it (queues, failed ticks, logs), and what AWS requires in
addition (IMPLIED and the key). The pairs of action and resource must be the same on both sides.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from local.permissions import CALLS
from tests.architecture.code_reach import AwsCall, environment_variables, reach, settled_settings
from tests.architecture.rules.rule import rule
from tests.architecture.template import Resource, Template, arn, as_list, everything, folder, target

Grant = tuple[str, str]
"""(action, resource as `label` writes it)"""

GATEWAY_SECRETS: Final = (
    "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:holdfast/${Environment}/*"
)
ANY_IDENTITY: Final = "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*"
ANY_OBJECT: Final = "${ArchiveBucket.Arn}/*"
WILDCARDS: Final = {
    GATEWAY_SECRETS: "each account at a gateway has a secret of its own, and a row of the database names it",
    ANY_IDENTITY: "Amazon SES also asks for the recipient's identity while the account is in its sandbox",
    ANY_OBJECT: "objects are named by month and file; the bucket holds the archive alone",
}
"""Every resource with a `*` that the role of a function may name, and why it cannot be more specific."""

WITHOUT_RESOURCES: Final = {
    "ec2:*": "denied: nothing that the code asks of the network is allowed, whatever it is on",
    "ec2:AssignPrivateIpAddresses": "Lambda asks for interfaces of functions in a network on every resource",
    "ec2:CreateNetworkInterface": "as above",
    "ec2:DeleteNetworkInterface": "as above",
    "ec2:DescribeNetworkInterfaces": "as above; it has no resource level",
    "ec2:DescribeSubnets": "as above; it has no resource level",
    "ec2:UnassignPrivateIpAddresses": "as above",
    "xray:PutTelemetryRecords": "it has no resource level",
    "xray:PutTraceSegments": "it has no resource level",
}
"""Every action that is granted on `*`, and why. All of them are in FunctionRuntimePolicy."""

SETTINGS_OF: Final = {
    "cognito-idp": "AWS::Cognito::UserPool",
    "events": "AWS::Events::EventBus",
    "lambda": "AWS::Serverless::Function",
    "s3": "AWS::S3::Bucket",
    "secretsmanager": "AWS::SecretsManager::Secret",
    "sns": "AWS::SNS::Topic",
    "sqs": "AWS::SQS::Queue",
}
"""The kind of resource that each service works on. It tells which of the settings around a call names the resource."""

QUEUE_READER: Final = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
"""What Lambda needs a role to allow to feed a queue's messages to its function (AWSLambdaSQSQueueExecutionRole)."""

CLUSTER: Final = {"Fn::GetAtt": "DatabaseCluster.DBClusterResourceId"}
PROXY: Final = {"Fn::Select": [6, {"Fn::Split": [":", {"Fn::GetAtt": "DatabaseProxy.DBProxyArn"}]}]}
PAST_THE_PROXY: Final = {"Fn::GetAtt": "DatabaseCluster.Endpoint.Address"}
"""The database host of a function that connects to the cluster itself, whether or not there is a proxy."""

IMPLIED: Final = {
    # Without ListBucket, S3 answers a read of a missing object with 403 instead of 404, so absence looks like an error.
    ("s3:GetObject", ANY_OBJECT): ("s3:ListBucket", "ArchiveBucket"),
}

KEY_USES: Final = {
    "s3:GetObject": ("s3", {"kms:Decrypt"}),
    "s3:PutObject": ("s3", {"kms:GenerateDataKey"}),
    "secretsmanager:GetSecretValue": ("secretsmanager", {"kms:Decrypt"}),
    "sns:Publish": ("sns", {"kms:Decrypt", "kms:GenerateDataKey"}),
    "sqs:ReceiveMessage": ("sqs", {"kms:Decrypt"}),
    "sqs:SendMessage": ("sqs", {"kms:Decrypt", "kms:GenerateDataKey"}),
}
"""What each action makes its service do with the key on behalf of the caller.

The event bus uses the key on its own behalf. The address lookup and the user pool keep nothing under our key.
"""


def label(resource: Any) -> str:
    """Return the one form of a policy's resource: the logical name, or the text of its `!Sub`."""
    if "Fn::Sub" in resource:
        text = resource["Fn::Sub"]
        return str(text if isinstance(text, str) else text[0])
    named = str(resource.get("Ref") or resource.get("Fn::GetAtt") or everything(resource))
    return named.removesuffix(".Arn")


def database_user(name: Any) -> str:
    """Return the label of the resource for logging in to the database as a user."""
    return f"arn:${{AWS::Partition}}:rds-db:${{AWS::Region}}:${{AWS::AccountId}}:dbuser:${{Target}}/{name}"


def _named_by(template: Template, function: str, settings: frozenset[str], kind: str) -> set[str]:
    """Return the resources of a kind that these settings of a function name."""
    found: set[str] = set()
    variables = template.variables(function)
    for setting in settings:
        value = variables.get(environment_variables().get(setting, ""))
        if not isinstance(value, dict):
            continue
        if "Fn::Sub" in value:
            found |= {name for name, body in template.of_type(kind).items() if body.get("FunctionName") == value}
        chosen = value["Fn::If"][1] if "Fn::If" in value else value
        if template.resources.get(target(chosen), {}).get("Type") == kind:
            found.add(target(chosen))
        elif kind == "AWS::SecretsManager::Secret" and str(chosen.get("Fn::GetAtt", "")).endswith(".SecretArn"):
            found.add(chosen["Fn::GetAtt"])  # a secret that belongs to another resource
    return found


def _grants(template: Template, function: str, call: AwsCall, secrets: set[str]) -> Iterator[Grant]:
    if call.service == "rds":
        variables = template.variables(function)
        yield "rds-db:connect", database_user(variables["DATABASE_USER"])
        if "DATABASE_MASTER_SECRET_ARN" in variables:
            cluster = template.resources["DatabaseCluster"]["Properties"]
            *_, master = cluster["MasterUsername"]["Fn::If"]  # that of a cluster which no snapshot gives one
            yield "rds-db:connect", database_user(master)
        return
    actions = CALLS[(call.service, call.operation)].actions
    if call.service == "geo-places":
        resources = {"arn:${AWS::Partition}:geo-places:${AWS::Region}::provider/default"}
    elif call.service == "sesv2":
        resources = {
            ANY_IDENTITY,
            "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/${MailConfigurationSet}",
        }
    else:
        settings = call.settings | {name for name in secrets if name and call.operation == "GetSecretValue"}
        resources = _named_by(template, function, frozenset(settings), SETTINGS_OF[call.service])
        if call.operation == "GetSecretValue" and "" in secrets:
            resources.add(GATEWAY_SECRETS)
        if call.service == "s3" and call.operation != "ListObjectsV2":  # listing works on the bucket itself
            resources = {f"${{{name}.Arn}}/*" for name in resources}
    assert resources, f"{function}: nothing in its environment says what {call.operation} works on"
    for action in actions:
        for resource in resources:
            yield action, resource


def needed(template: Template, function: str) -> set[Grant]:
    """Return what a function does, by its code and by what the template connects to it, without uses of the key."""
    reached = reach(folder(function))
    grants = {grant for call in reached.calls for grant in _grants(template, function, call, reached.secrets)}
    grants |= {(action, f"{function}Logs") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    for owner, _, properties in template.events("SQS"):
        if owner == function:
            grants |= {(action, target(properties["Queue"])) for action in QUEUE_READER}
    on_failure = template.functions[function].get("EventInvokeConfig", {}).get("DestinationConfig", {}).get("OnFailure")
    if on_failure:
        grants.add(("sqs:SendMessage", target(on_failure["Destination"])))
    return grants | {implied for cause, implied in IMPLIED.items() if cause in grants}


def needed_of_the_key(grants: set[Grant]) -> tuple[set[str], set[str]]:
    """Return (actions on the key, services that may ask for them) behind what a function does."""
    uses = [KEY_USES[action] for action, _ in grants if action in KEY_USES]
    return {action for _, actions in uses for action in actions}, {service for service, _ in uses}


def granted(template: Template, role: str) -> set[Grant]:
    """Return what a role allows, without uses of the key."""
    return {
        (action, label(resource))
        for statement in template.statements(role)
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not action.startswith("kms:")
    }


def granted_of_the_key(template: Template, role: str) -> tuple[set[str], set[str]]:
    """Return (actions on the key, services that may ask for them) that a role allows."""
    uses = [each for each in template.statements(role) if "kms:" in everything(each["Action"])]
    actions = {action for each in uses for action in as_list(each["Action"])}
    services = {
        re.sub(r"\.\$\{AWS::Region\}\.amazonaws\.com$", "", service["Fn::Sub"])
        for each in uses
        for service in as_list(each["Condition"]["StringEquals"]["kms:ViaService"])
    }
    return actions, services


def _grant(role: str, statement: Resource) -> Any:
    return lambda template: template.roles[role]["Policies"][0]["PolicyDocument"]["Statement"].append(statement)


def _revoke(role: str, sid: str) -> Any:
    def revoke(template: Template) -> None:
        statements = template.roles[role]["Policies"][0]["PolicyDocument"]["Statement"]
        statements[:] = [each for each in statements if f'"{sid}"' not in everything(each)]

    return revoke


@rule(
    _revoke("CheckoutFunctionRole", "ReadGatewaySecrets"),
    _revoke("ColdExportFunctionRole", "TellWhatIsNotThere"),
    _revoke("OutboxRelayFunctionRole", "ReceiveMessages"),
    _revoke("HousekeepingFunctionRole", "SendMessages"),
    _revoke("MigrateFunctionRole", "ConnectAsTheMaster"),
    _grant(
        "StockFunctionRole",
        {"Sid": "More", "Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "AlertTopic"}},
    ),
    _grant(
        "CheckoutFunctionRole",
        {"Sid": "More", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn("NotificationsQueue")},
    ),
)
def a_role_allows_exactly_what_its_function_does(template: Template) -> Iterator[str]:
    for function in template.functions:
        does, may = needed(template, function), granted(template, f"{function}Role")
        for action, resource in sorted(does - may):
            yield f"{function}Role: allow {action} on {resource}, or the function fails."
        for action, resource in sorted(may - does):
            yield f"{function}Role: nothing in {function} asks for {action} on {resource}; take it away."


@rule(
    _revoke("CheckoutFunctionRole", "UseTheKey"),
    lambda template: next(each for each in template.statements("OrdersFunctionRole") if each["Sid"] == "UseTheKey")[
        "Condition"
    ]["StringEquals"]["kms:ViaService"].append({"Fn::Sub": "s3.${AWS::Region}.amazonaws.com"}),
)
def a_role_may_use_the_key_just_for_what_its_function_does(template: Template) -> Iterator[str]:
    for function in template.functions:
        does, may = needed_of_the_key(needed(template, function)), granted_of_the_key(template, f"{function}Role")
        if does != may:
            yield f"{function}Role, UseTheKey: it needs {sorted(does[0])} by {sorted(does[1])}, and has {may}."


def _goes_past_the_proxy(template: Template, function: str) -> bool:
    return bool(template.variables(function)["DATABASE_HOST"] == PAST_THE_PROXY)


def _login(template: Template, role: str) -> Any:
    return next(each for each in template.statements(role) if each["Action"] == "rds-db:connect")


@rule(
    lambda template: _login(template, "StockFunctionRole")["Resource"]["Fn::Sub"][1].update(Target="*"),
    lambda template: next(
        each for each in template.statements("OrdersFunctionRole") if each["Sid"] == "UseTheKey"
    ).update(Resource="*"),
)
def a_role_logs_in_to_our_database_and_uses_our_key(template: Template) -> Iterator[str]:
    for function in template.functions:
        database = CLUSTER if _goes_past_the_proxy(template, function) else {"Fn::If": ["WithProxy", PROXY, CLUSTER]}
        for statement in template.statements(f"{function}Role"):
            if statement["Action"] == "rds-db:connect" and statement["Resource"]["Fn::Sub"][1]["Target"] != database:
                yield f"{function}Role, {statement['Sid']}: log in to the database that DATABASE_HOST names."
            if "kms:" in everything(statement["Action"]) and statement["Resource"] != arn("DataKey"):
                yield f"{function}Role: the key is `!GetAtt DataKey.Arn`."


@rule(
    lambda template: template.functions["StockFunction"].update(Role=arn("OrdersFunctionRole")),
    lambda template: template.resources.pop("StockFunctionRole"),
    lambda template: template.roles["StockFunctionRole"].pop("ManagedPolicyArns"),
)
def every_function_has_a_role_of_its_own(template: Template) -> Iterator[str]:
    for function, properties in template.functions.items():
        if properties.get("Role") != arn(f"{function}Role"):
            yield f"{function}: write `Role: !GetAtt {function}Role.Arn`; the role SAM makes may read every queue."
        role = template.roles.get(f"{function}Role")
        if role is None:
            yield f"Add {function}Role, with just the statements that {function} needs."
        elif role.get("ManagedPolicyArns") != [{"Ref": "FunctionRuntimePolicy"}]:
            yield f"{function}Role: what Lambda itself needs is FunctionRuntimePolicy, and no other managed policy."


@rule(
    _grant(
        "StockFunctionRole", {"Sid": "All", "Effect": "Allow", "Action": "sqs:*", "Resource": arn("OutboxBellQueue")}
    ),
    _grant("StockFunctionRole", {"Sid": "All", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}),
    _grant(
        "StockFunctionRole",
        {"Sid": "Many", "Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${OtherBucket.Arn}/*"}},
    ),
    _revoke("NotificationsFunctionRole", "SendMail"),
)
def no_function_is_granted_more_than_it_can_name(template: Template) -> Iterator[str]:
    met: set[str] = set()
    for function in template.functions:
        for statement in template.statements(f"{function}Role"):
            where = f"{function}Role, statement {statement['Sid']}"
            if statement["Effect"] != "Allow":
                yield f"{where}: grant little instead of denying much."
            if any("*" in action for action in as_list(statement["Action"])):
                yield f"{where}: name each action."
            for resource in as_list(statement["Resource"]):
                text = label(resource) if isinstance(resource, dict) else str(resource)
                met |= {text} if "*" in text else set()
                if "*" in text and text not in WILDCARDS:
                    yield f"{where}: name the resource instead of {text}, or explain it in WILDCARDS."
    for unused in sorted(set(WILDCARDS) - met):
        yield f"No role names {unused} any more: take it out of WILDCARDS."


@rule(
    lambda template: template.resources["FunctionRuntimePolicy"]["Properties"]["PolicyDocument"]["Statement"].append(
        {"Sid": "More", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    ),
    lambda template: template.resources["FunctionRuntimePolicy"]["Properties"]["PolicyDocument"]["Statement"].pop(),
)
def what_all_functions_may_on_everything_is_explained(template: Template) -> Iterator[str]:
    (policy,) = template.of_type("AWS::IAM::ManagedPolicy").values()
    on_everything = {
        action
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*"
        for action in as_list(statement["Action"])
    }
    if on_everything != set(WITHOUT_RESOURCES):
        yield f"Explain in WITHOUT_RESOURCES, or take away: {sorted(on_everything ^ set(WITHOUT_RESOURCES))}."


@rule(
    lambda template: template.raw["Globals"]["Function"]["Environment"]["Variables"].update(
        DATABASE_USER="holdfast_system"
    ),
    lambda template: template.functions["HousekeepingFunction"].pop("Environment"),
)
def a_function_that_the_clock_or_a_queue_wakes_is_the_system_user_and_one_at_the_door_is_not(
    template: Template,
) -> Iterator[str]:
    at_the_door = {function for function, _, _ in template.events("HttpApi")}
    ticking = {function for function, _, _ in template.events("ScheduleV2")}
    for function in template.functions:
        user = template.variables(function)["DATABASE_USER"]
        if function in at_the_door and user != "holdfast_app":
            yield f"{function} serves the door as {user}: row-level security is made for holdfast_app."
        if function in ticking and user != "holdfast_system":
            yield f"{function} works for every organization, which {user} may not."


@rule(lambda template: template.raw["Globals"]["Function"]["Environment"]["Variables"].update(COLD_STORAGE_FUNCTION=""))
def what_the_runtime_takes_for_given_is_given(template: Template) -> Iterator[str]:
    for setting in sorted(settled_settings()):
        variable = environment_variables()[setting]
        if not template.raw["Globals"]["Function"]["Environment"]["Variables"].get(variable):
            yield f"code_reach.py takes {setting} for given: set {variable} for all functions."


@rule(
    lambda template: template.statements("ScheduleRole")[0]["Resource"].pop(),
    lambda template: template.statements("ScheduleRole")[0]["Resource"].append(arn("CheckoutFunction")),
)
def the_clock_may_invoke_what_it_ticks_for_and_nothing_else(template: Template) -> Iterator[str]:
    does = {("lambda:InvokeFunction", function) for function, _, _ in template.events("ScheduleV2")}
    does |= {
        ("sqs:SendMessage", target(each["DeadLetterConfig"]["Arn"])) for _, _, each in template.events("ScheduleV2")
    }
    if does != granted(template, "ScheduleRole"):
        yield f"ScheduleRole differs from the schedules in {sorted(does ^ granted(template, 'ScheduleRole'))}."
    if needed_of_the_key(does) != granted_of_the_key(template, "ScheduleRole"):
        yield "ScheduleRole may use the key for what the dead-letter queue asks."


@rule(lambda template: template.statements("DatabaseProxyRole")[0]["Resource"].pop())
def the_proxy_may_log_in_as_every_user_of_the_functions(template: Template) -> Iterator[str]:
    users = {
        database_user(template.variables(function)["DATABASE_USER"])
        for function in template.functions
        if "database" in reach(folder(function)).ports and not _goes_past_the_proxy(template, function)
    }
    if granted(template, "DatabaseProxyRole") != {("rds-db:connect", user) for user in users}:
        yield f"DatabaseProxyRole: rds-db:connect as {sorted(users)}."
