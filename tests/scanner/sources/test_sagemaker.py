"""SageMaker by the real SDK against moto's server."""

import json
from typing import Any

import boto3
import botocore.client
import botocore.exceptions
import pytest
from amazon import SAGEMAKER_READS, aws_error, sagemaker_endpoint

from inventory.model import DeclarationState, ScanStatus
from scanner.sources.aws_policies import grants_of


def grant(name: str, document: Any) -> None:
    iam = boto3.client("iam", region_name="us-east-1")
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    whole = {"Version": "2012-10-17", "Statement": document}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(whole))
    iam.close()


def test_endpoints_with_all_that_can_be_told(read, aws, monkeypatch, tmp_path) -> None:
    capture = {
        "EnableCapture": True, "InitialSamplingPercentage": 25, "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }  # fmt: skip
    sagemaker_endpoint(aws, "iris", DataCaptureConfig=capture)
    grant("caller", [{"Effect": "Allow", "Action": "sagemaker:Invoke*", "Resource": "*"}])
    grant("other", [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}])
    called: list[str] = []
    real = botocore.client.BaseClient._make_api_call

    def recording(self: Any, operation: str, arguments: Any) -> Any:
        called.append(operation)
        return real(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recording)
    scan, found = read("sagemaker:eu-west-1")
    assert (scan.status, scan.reason) == (ScanStatus.COMPLETE, None)
    one = found["iris"]
    assert (one.model, one.artifact, one.image, one.owner) == ("iris-m", "s3://bucket/iris", "registry/iris:3", "ana")
    assert one.urls == ("https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/iris/invocations",)
    assert one.state is DeclarationState.ACTIVE
    assert {"captures 25 % of its data", "no network isolation", "may be invoked by role/caller"} <= set(one.details)
    assert set(called) <= SAGEMAKER_READS
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("inventory.db*"))
    assert b"s3cret-planted" not in kept
    assert b"AKIAPLANTED" not in kept


def test_what_is_deleted_is_withdrawn(read, aws) -> None:
    for number in range(3):
        sagemaker_endpoint(aws, f"e{number}")
    _, found = read("sagemaker:eu-west-1")
    assert len(found) == 3
    aws.delete_endpoint(EndpointName="e0")
    _, found = read("sagemaker:eu-west-1")
    assert set(found) == {"e1", "e2"}
    assert read("sagemaker:us-east-1")[1] == {}


def role(account: str) -> str:
    return f"arn:aws:iam::{account}:role/reader"


ACCOUNTS = ("111111111111", "222222222222")
REGIONS = ("eu-west-1", "us-east-1")


@pytest.fixture
def organisation(aws) -> dict[str, str]:
    """An endpoint in each region of two more accounts, by the target that reads it."""
    sts = boto3.client("sts", region_name="eu-west-1")
    planted = {}
    for account in ACCOUNTS:
        given = sts.assume_role(RoleArn=role(account), RoleSessionName="plant")["Credentials"]
        session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        for region in REGIONS:
            client = session.client("sagemaker", region_name=region)
            sagemaker_endpoint(client, f"e-{account[0]}-{region}")
            client.close()
            planted[f"sagemaker:{role(account)}/{region}"] = f"e-{account[0]}-{region}"
    sts.close()
    return planted


def test_many_accounts_and_regions_by_assumed_roles(read, organisation, tmp_path, monkeypatch) -> None:
    called: list[str] = []
    secrets: list[str] = []
    real = botocore.client.BaseClient._make_api_call

    def recording(self: Any, operation: str, arguments: Any) -> Any:
        called.append(operation)
        answer = real(self, operation, arguments)
        if operation == "AssumeRole":
            secrets.extend(answer["Credentials"][key] for key in ("SecretAccessKey", "SessionToken"))
        return answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", recording)
    scan, found = read(*organisation)
    assert (scan.status, scan.account.planned, scan.account.answered) == (ScanStatus.COMPLETE, 4, 4)
    assert {one.source: key for key, one in found.items()} == organisation
    assert set(called) <= {*SAGEMAKER_READS, "AssumeRole"}
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("inventory.db*"))
    assert len(secrets) == 8
    assert not [secret for secret in secrets if secret.encode() in kept]


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "AccessDeniedException"])
def test_an_account_that_cannot_be_read_is_named_and_keeps_no_other_from_it(
    read, organisation, monkeypatch, code
) -> None:
    read(*organisation)
    real = botocore.client.BaseClient._make_api_call

    def failing(self: Any, operation: str, arguments: Any) -> Any:
        if operation == "AssumeRole" and arguments["RoleArn"] == role(ACCOUNTS[0]):
            raise botocore.exceptions.ClientError({"Error": {"Code": code}}, operation)
        return real(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", failing)
    scan, found = read(*organisation)
    assert (scan.status, scan.account.answered, scan.account.refused) == (ScanStatus.INCOMPLETE, 2, 2)
    assert set(found) == set(organisation.values())
    assert code in (scan.reason or "")
    assert f"sagemaker:{role(ACCOUNTS[0])}/{REGIONS[0]}" in (scan.reason or "")
    assert role(ACCOUNTS[1]) not in (scan.reason or "")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (aws_error("ThrottlingException"), "ThrottlingException"),
        (aws_error("ExpiredTokenException"), "are not valid any more (ExpiredTokenException): log in again"),
        (aws_error("AccessDeniedException"), "give them read access"),
        ((200, b'{"Endpoints": [{"EndpointName": "e', 4000), "was cut off on its way"),
    ],
)
@pytest.mark.parametrize("operation", ["ListEndpoints", "DescribeEndpoint"])
def test_faults_on_the_wire_withdraw_nothing(read, aws, between, operation, fault, said) -> None:
    sagemaker_endpoint(aws, "iris")
    scan, before = read("sagemaker:eu-west-1")
    assert (scan.status, set(before)) == (ScanStatus.COMPLETE, {"iris"})
    between.fault = lambda asked: fault if asked == operation else None
    scan, found = read("sagemaker:eu-west-1")
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert set(found) == {"iris"}


def test_throttling_that_passes_is_waited_for(read, aws, between) -> None:
    sagemaker_endpoint(aws, "iris")
    left = iter([aws_error("ThrottlingException")])
    between.fault = lambda asked: next(left, None) if asked == "ListEndpoints" else None
    scan, found = read("sagemaker:eu-west-1")
    assert (scan.status, set(found)) == (ScanStatus.COMPLETE, {"iris"})
    assert between.asked.count("ListEndpoints") == 2


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
NOBODY_THERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}


@pytest.mark.parametrize(
    ("target", "environment", "said"),
    [
        ("sagemaker:nosuch/eu-west-1", {}, "no AWS credentials were found"),
        ("sagemaker:eu-west-1", NO_KEYS, "no AWS credentials were found"),
        ("sagemaker:eu-west-1", NOBODY_THERE, "EndpointConnection"),
    ],
)
def test_what_cannot_be_read_is_said_and_withdraws_nothing(read, aws, monkeypatch, target, environment, said) -> None:
    sagemaker_endpoint(aws, "iris")
    read("sagemaker:eu-west-1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scan, found = read(target)
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert set(found) == {"iris"}


ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
INVOKE = "sagemaker:InvokeEndpoint"
ARN = "arn:aws:sagemaker:eu-west-1:1:endpoint/iris"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([ALL], "role/r"),
        ([{**ALL, "Action": ["s3:*", "SageMaker:invokeendpoint"]}], "role/r"),
        ([{**ALL, "Resource": "arn:aws:sagemaker:*:*:endpoint/i?is"}], "role/r"),
        ([{**ALL, "Resource": "arn:aws:sagemaker:*:*:endpoint/[i]ris"}], None),
        ([{**ALL, "Action": "sagemaker:InvokeEndpointAsync"}], None),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], "role/r"),
        ([{"Effect": "Allow", "NotAction": "sagemaker:*", "Resource": "*"}], None),
        ([{"Effect": "Allow", "Action": "*", "NotResource": ARN}], None),
        ([ALL, {**ALL, "Effect": "Deny", "Action": INVOKE}], None),
        ([ALL, {**ALL, "Effect": "Deny", "Action": INVOKE, "Condition": {"Bool": {}}}], "role/r"),
        ([{**ALL, "Condition": {"Bool": {}}}], "role/r (under conditions)"),
        ([], None),
    ],
)
def test_who_may(statements: list[dict[str, Any]], expected: str | None) -> None:
    policy = {"PolicyName": "p", "PolicyDocument": {"Statement": statements}}
    page = {"RoleDetailList": [{"RoleName": "r", "RolePolicyList": [policy]}]}
    assert grants_of([page]).allowed(INVOKE, ARN) == ([expected] if expected else [])


def test_groups_and_managed_policies_over_pages() -> None:
    document = {"Statement": ALL}
    versions = [{"IsDefaultVersion": False, "Document": {}}, {"IsDefaultVersion": True, "Document": document}]
    pages = [
        {"UserDetailList": [{"UserName": "ana", "GroupList": ["ml"]}, {"UserName": "bo"}]},
        {"GroupDetailList": [{"GroupName": "ml", "AttachedManagedPolicies": [{"PolicyArn": "arn:p"}]}]},
        {"Policies": [{"Arn": "arn:p", "PolicyVersionList": versions}]},
    ]
    assert grants_of(pages).allowed(INVOKE, ARN) == ["user/ana"]
