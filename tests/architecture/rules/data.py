"""Data at rest and in transit: encrypted, over TLS only, and kept as long as it must be and no longer."""

from collections.abc import Iterator
from typing import Any, Final

from local.intrinsics import Resolver
from tests.architecture.code_reach import reach
from tests.architecture.rules.rule import rule
from tests.architecture.template import Template, arn, everything, folder

KEYS: Final = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::Events::EventBus": "KmsKeyIdentifier",
    "AWS::Events::Archive": "KmsKeyIdentifier",
    "AWS::RDS::DBCluster": "KmsKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}
"""For each kind of resource, the property that names its encryption key."""

OUTLIVES_THE_STACK: Final = {
    "ArchiveBucket": "RetainExceptOnCreate",
    "ArchiveKeySecret": "RetainExceptOnCreate",
    "DataKey": "RetainExceptOnCreate",
    "DatabaseCluster": "Snapshot",
    "UserPool": "RetainExceptOnCreate",
}
"""What must remain when the stack is deleted or the resource is replaced: money, orders, people."""

ENDPOINT_OF: Final = {"sesv2": "email", "cognito-idp": "cognito-idp", "rds": ""}
"""Services whose endpoint has another name than in botocore. '' needs none: a login is signed without any call."""

WITHOUT_ENDPOINT: Final = {
    "geo-places": "Amazon Location is reached through the NAT gateway; the parameter Geocoder says so",
}

FROM_A_SNAPSHOT: Final = {"DatabaseSnapshotIdentifier": "before-the-mistake"}

_TLS_ONLY: Final = {"Bool": {"aws:SecureTransport": "false"}}
_EVERY_ZONE: Final = {"Fn::GetAZs": ""}
_ZONES: Final = {"Fn::If": ["ChosenZones", {"Ref": "Zones"}, _EVERY_ZONE]}


def _properties(template: Template, name: str) -> Any:
    return template.resources[name]["Properties"]


def _resolved(template: Template, properties: Any, **parameters: str) -> dict[str, Any]:
    """Return properties as CloudFormation reads them with these parameters, and defaults for the rest."""
    resolver = Resolver(template.raw, parameters, stack="holdfast", ref=str, attribute="{}.{}".format)
    resolved: dict[str, Any] = resolver.resolve(properties)
    return resolved


def _policy(template: Template, name: str) -> list[Any]:
    body = template.resources.get(f"{name}Policy", {}).get("Properties", {})
    statements: list[Any] = body.get("PolicyDocument", {}).get("Statement", [])
    return statements


@rule(
    lambda template: template.resources.pop("OutboxBellQueuePolicy"),
    lambda template: _policy(template, "ArchiveBucket")[0].update(Effect="Allow"),
    lambda template: _policy(template, "AlertTopic")[-1].pop("Condition"),
    lambda template: _policy(template, "PaymentEventsQueue")[0].update(Resource=arn("OutboxBellQueue")),
)
def nothing_is_reached_without_tls(template: Template) -> Iterator[str]:
    topics, buckets = template.of_type("AWS::SNS::Topic"), template.of_type("AWS::S3::Bucket")
    for name in sorted([*template.queues, *topics, *buckets]):
        denials = [each for each in _policy(template, name) if each["Effect"] == "Deny"]
        if not any(each["Principal"] == "*" and each.get("Condition") == _TLS_ONLY for each in denials):
            yield f"Add {name}Policy with a statement that denies everybody without aws:SecureTransport."
        elif name not in everything([each["Resource"] for each in denials]):
            yield f"{name}Policy speaks of another one."


@rule(
    lambda template: template.of_type("AWS::RDS::DBProxy")["DatabaseProxy"].update(RequireTLS=False),
    lambda template: _properties(template, "DatabaseClusterParameters")["Parameters"].update({"rds.force_ssl": "0"}),
    lambda template: template.raw["Globals"]["Function"]["Environment"]["Variables"].update(DATABASE_TLS="off"),
    lambda template: _properties(template, "DatabaseCluster").update(EnableIAMDatabaseAuthentication=False),
    lambda template: _properties(template, "DatabaseWriter").update(PubliclyAccessible=True),
    lambda template: _properties(template, "DatabaseProxy").update(DefaultAuthScheme="NONE"),
)
def the_database_is_reached_over_tls_with_iam_and_from_inside_alone(template: Template) -> Iterator[str]:
    for name, proxy in template.of_type("AWS::RDS::DBProxy").items():
        if proxy.get("RequireTLS") is not True:
            yield f"{name}: RequireTLS."
        if proxy.get("DefaultAuthScheme") != "IAM_AUTH":
            yield f"{name}: IAM from end to end, so that no password lies anywhere."
    for name, parameters in template.of_type("AWS::RDS::DBClusterParameterGroup").items():
        if parameters["Parameters"].get("rds.force_ssl") != "1":
            yield f'{name}: `rds.force_ssl: "1"`.'
    for name, cluster in template.of_type("AWS::RDS::DBCluster").items():
        encrypted = _resolved(template, cluster).get("StorageEncrypted") is True
        if cluster.get("EnableIAMDatabaseAuthentication") is not True or not encrypted:
            yield f"{name}: EnableIAMDatabaseAuthentication and StorageEncrypted."
    for name, instance in template.of_type("AWS::RDS::DBInstance").items():
        if instance.get("PubliclyAccessible") is not False:
            yield f"{name}: PubliclyAccessible: false."
    for function in template.functions:
        if template.variables(function).get("DATABASE_TLS") != "verify":
            yield f"{function}: DATABASE_TLS must be verify."


@rule(
    lambda template: template.queues["OutboxBellQueue"].pop("KmsMasterKeyId"),
    lambda template: _properties(template, "EventBus").update(KmsKeyIdentifier="alias/aws/events"),
    lambda template: _properties(template, "HttpApiAccessLogs").pop("KmsKeyId"),
    lambda template: _properties(template, "ArchiveBucket").update(BucketEncryption={}),
    lambda template: _properties(template, "DataKey").update(EnableKeyRotation=False),
    lambda template: template.raw["Globals"]["Function"].pop("KmsKeyArn"),
)
def everything_that_keeps_data_is_encrypted_with_our_key(template: Template) -> Iterator[str]:
    for kind, key in KEYS.items():
        for name, properties in template.of_type(kind).items():
            if properties.get(key) != arn("DataKey"):
                yield f"{name}: write `{key}: !GetAtt DataKey.Arn`."
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        if "DataKey.Arn" not in everything(bucket["BucketEncryption"]):
            yield f"{name}: BucketEncryption with DataKey."
    if _properties(template, "DataKey").get("EnableKeyRotation") is not True:
        yield "DataKey: rotate the key."
    if template.raw["Globals"]["Function"].get("KmsKeyArn") != arn("DataKey"):
        yield "Globals: the environment of functions is encrypted with DataKey too."


@rule(
    lambda template: template.resources.pop("StockFunctionLogs"),
    lambda template: _properties(template, "DatabaseLogs").pop("RetentionInDays"),
    lambda template: template.functions["StockFunction"].pop("LoggingConfig"),
)
def logs_end_one_day(template: Template) -> Iterator[str]:
    for name, group in template.of_type("AWS::Logs::LogGroup").items():
        if group.get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name}: keep it for LogRetentionDays."
    for function, properties in template.functions.items():
        if f"{function}Logs" not in template.of_type("AWS::Logs::LogGroup"):
            yield f"Add {function}Logs: a log group that Lambda makes by itself is kept for ever."
        if properties.get("LoggingConfig", {}).get("LogGroup") != {"Ref": f"{function}Logs"}:
            yield f"{function}: write `LoggingConfig: {{LogGroup: !Ref {function}Logs}}`."


@rule(
    lambda template: template.resources["DatabaseCluster"].pop("DeletionPolicy"),
    lambda template: template.resources["UserPool"].update(UpdateReplacePolicy="Delete"),
    lambda template: template.resources["ArchiveKeySecret"].update(DeletionPolicy="Retain"),
    lambda template: _properties(template, "DatabaseCluster").pop("DeletionProtection"),
    lambda template: template.resources["DatabaseCluster"].update(UpdateReplacePolicy="Snapshot"),
    lambda template: template.resources["DatabaseLogs"].pop("UpdateReplacePolicy"),
)
def what_is_worth_money_outlives_the_stack(template: Template) -> Iterator[str]:
    for name, policy in OUTLIVES_THE_STACK.items():
        # A failed creation leaves nothing behind: what it made is empty, and its name would block the next attempt.
        for attribute, value in (("DeletionPolicy", policy), ("UpdateReplacePolicy", "Retain")):
            if template.resources[name].get(attribute) != value:
                yield f"{name}: `{attribute}: {value}`."
    if template.resources["DatabaseLogs"].get("UpdateReplacePolicy") != "Retain":
        yield "DatabaseLogs: `UpdateReplacePolicy: Retain`: a restore wants to know what happened."
    for name in ("DatabaseCluster", "UserPool"):
        if "DeletionProtection" not in _properties(template, name):
            yield f"{name}: DeletionProtection by the parameter."


@rule(
    lambda template: _properties(template, "DatabaseCluster").pop("SnapshotIdentifier"),
    lambda template: _properties(template, "DatabaseCluster").update(DBClusterIdentifier="database"),
    lambda template: _properties(template, "DatabaseCluster").update(MasterUsername="holdfast_master"),
    lambda template: _properties(template, "DatabaseCluster").update(StorageEncrypted=True),
    lambda template: _properties(template, "DatabaseLogs").update(LogGroupName="/aws/rds/cluster/database/postgresql"),
    lambda template: _properties(template, "DatabaseProxyTargets").update(DBClusterIdentifiers=["holdfast-database"]),
    lambda template: _properties(template, "DatabaseWriter").update(DBClusterIdentifier="holdfast-database"),
)
def a_snapshot_makes_another_cluster_that_everything_follows(template: Template) -> Iterator[str]:
    cluster = _properties(template, "DatabaseCluster")
    before, after = _resolved(template, cluster), _resolved(template, cluster, **FROM_A_SNAPSHOT)
    if "SnapshotIdentifier" in before or after.get("SnapshotIdentifier") not in FROM_A_SNAPSHOT.values():
        yield "DatabaseCluster: SnapshotIdentifier, with DatabaseSnapshotIdentifier alone."
    if before["DBClusterIdentifier"] == after["DBClusterIdentifier"]:
        yield "DatabaseCluster: CloudFormation replaces no resource by one of the same name."
    for inherited in sorted({"MasterUsername", "StorageEncrypted"} & set(after)):
        yield f"DatabaseCluster: {inherited} comes from the snapshot."
    for parameters, made in (({}, before), (FROM_A_SNAPSHOT, after)):
        logs = _resolved(template, _properties(template, "DatabaseLogs"), **parameters)
        if logs["LogGroupName"] != f"/aws/rds/cluster/{made['DBClusterIdentifier']}/postgresql":
            yield "DatabaseLogs: RDS writes to the group that is named after the cluster."
    for name, kind, key in (
        ("DatabaseProxyTargets", "AWS::RDS::DBProxyTargetGroup", "DBClusterIdentifiers"),
        ("DatabaseWriter", "AWS::RDS::DBInstance", "DBClusterIdentifier"),
        ("DatabaseStandby", "AWS::RDS::DBInstance", "DBClusterIdentifier"),
    ):
        if template.of_type(kind)[name][key] not in ({"Ref": "DatabaseCluster"}, [{"Ref": "DatabaseCluster"}]):
            yield f"{name}: refer to DatabaseCluster, whose name changes with a restore."


@rule(
    lambda template: _properties(template, "ArchiveBucket")["PublicAccessBlockConfiguration"].update(
        BlockPublicAcls=False
    ),
    lambda template: _properties(template, "ArchiveBucket").pop("OwnershipControls"),
    lambda template: _properties(template, "ArchiveBucket")["VersioningConfiguration"].update(Status="Suspended"),
)
def a_bucket_is_closed_and_forgets_nothing(template: Template) -> Iterator[str]:
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        block = bucket.get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or not all(value is True for value in block.values()):
            yield f"{name}: block public access in all four ways."
        if "BucketOwnerEnforced" not in everything(bucket.get("OwnershipControls")):
            yield f"{name}: no access lists, BucketOwnerEnforced."
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name}: versions, so that nothing is written over."


@rule(
    lambda template: template.raw["Globals"]["Function"].pop("VpcConfig"),
    lambda template: template.functions["CheckoutFunction"].update(VpcConfig={"SubnetIds": [{"Ref": "PublicSubnetA"}]}),
    lambda template: _properties(template, "DatabaseSecurityGroup")["SecurityGroupIngress"].append(
        {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "CidrIp": "0.0.0.0/0"}
    ),
)
def nothing_is_open_to_the_internet_but_the_door(template: Template) -> Iterator[str]:
    shared = template.raw["Globals"]["Function"].get("VpcConfig", {})
    for function, properties in template.functions.items():
        network = shared | properties.get("VpcConfig", {})
        if network.get("SubnetIds") != [{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]:
            yield f"{function} runs in the private subnets of both zones."
    for name, group in template.of_type("AWS::EC2::SecurityGroup").items():
        if "0.0.0.0/0" in everything(group.get("SecurityGroupIngress", [])):
            yield f"{name} lets everybody in."


@rule(
    lambda template: _properties(template, "PrivateSubnetA").update(AvailabilityZone={"Fn::Select": [0, _EVERY_ZONE]}),
    lambda template: _properties(template, "PrivateSubnetB").update(AvailabilityZone={"Fn::Select": [0, _ZONES]}),
    lambda template: _properties(template, "PublicSubnetA").pop("AvailabilityZone"),
)
def who_deploys_may_choose_the_two_zones(template: Template) -> Iterator[str]:
    for name, subnet in template.of_type("AWS::EC2::Subnet").items():
        if subnet.get("AvailabilityZone") != {"Fn::Select": ["AB".index(name[-1]), _ZONES]}:
            yield f"{name}: the first (A) or second (B) of Zones: RDS Proxy is not in every zone of a region."


@rule(
    lambda template: template.resources.pop("LambdaEndpoint"),
    lambda template: _properties(template, "SqsEndpoint").update(PrivateDnsEnabled=False),
    lambda template: _properties(template, "S3Endpoint").pop("PolicyDocument"),
)
def every_service_that_the_code_calls_has_an_endpoint_in_the_private_network(template: Template) -> Iterator[str]:
    there = {
        str(endpoint["ServiceName"]["Fn::Sub"]).rpartition(".")[2]
        for endpoint in template.of_type("AWS::EC2::VPCEndpoint").values()
        if endpoint["VpcEndpointType"] == "Gateway" or endpoint.get("PrivateDnsEnabled") is True
    }
    if "ArchiveBucket" not in everything(_properties(template, "S3Endpoint").get("PolicyDocument")):
        yield "S3Endpoint: a policy that leads to ArchiveBucket alone."
    called = {call.service for function in template.functions for call in reach(folder(function)).calls}
    for service in sorted(called - set(WITHOUT_ENDPOINT)):
        endpoint = ENDPOINT_OF.get(service, service)
        if endpoint and endpoint not in there:
            yield f"With InterfaceEndpoints and no way out, {service} is not reached: add its endpoint."
