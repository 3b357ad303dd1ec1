"""Amazon SageMaker: the inference endpoints of one account and region, and who may invoke them.

The target is ``sagemaker:REGION``, ``sagemaker:PROFILE/REGION`` for a profile of the AWS configuration, or
``sagemaker:ROLE_ARN/REGION`` for a role that is assumed, in another account too; a scope of many accounts and regions
has many targets. Credentials come from the chain of the AWS SDK, and are read by nothing else. Only List, Describe and
Get calls are made, beside the AssumeRole of such a target.
"""

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from inventory.model import Declaration, DeclarationState
from scanner.sources.aws_policies import Grants, grants_of
from scanner.sources.reading import Context, SourceError, owner_in, source_of_declarations

MOST_NAMED = 8
"""Principals that a declaration names; more are counted."""

TRIES = 8
"""How often a call is made while AWS throttles it, unless ``AWS_MAX_ATTEMPTS`` says."""

_GONE = {"Deleting", "Failed"}


def read(context: Context) -> Iterator[Declaration]:
    """Every endpoint with its variants, capture, isolation and the principals that may invoke it."""
    account = _Account(context)
    grants: Grants | None = None
    try:
        grants = grants_of(account.pages("iam", "get_account_authorization_details"))
    except SourceError as error:
        context.shortfalls.append(f"who may invoke the endpoints of {context.source} is unknown: {error}")
    for page in account.pages("sagemaker", "list_endpoints"):
        if "Endpoints" not in page:
            raise SourceError(f"{context.source}: list_endpoints was cut off on its way: scan it again")
        for listed in page["Endpoints"]:
            yield _endpoint(context, account, str(listed["EndpointName"]), grants)


class _Account:
    """The calls that are made, with the SDK's errors in one sentence. What was described once is not asked again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.profile, _, self.region = context.rest.rpartition("/")
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ModuleNotFoundError as error:
            raise SourceError("SageMaker needs the AWS SDK: install gnomon with its extra 'aws'") from error
        self._errors = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
        attempts = int(os.environ.get("AWS_MAX_ATTEMPTS") or TRIES)
        patient = botocore.config.Config(
            connect_timeout=10, read_timeout=20, retries={"mode": "adaptive", "total_max_attempts": attempts}
        )
        try:
            session = self._session(boto3, patient)
            self._clients = {name: session.client(name, config=patient) for name in ("sagemaker", "iam")}
        except (*self._errors, ValueError) as error:
            raise SourceError(self._sentence(error)) from error
        self.describe = cache(self._describe)

    def _session(self, boto3: Any, config: Any) -> Any:
        """As the SDK's chain says, as the named profile, or as the named role for as long as one reading takes."""
        if not self.profile.startswith("arn:"):
            return boto3.Session(profile_name=self.profile or None, region_name=self.region)
        own = boto3.Session(region_name=self.region).client("sts", config=config)
        self._context.requests += 1
        given = own.assume_role(RoleArn=self.profile, RoleSessionName="gnomon")["Credentials"]
        return boto3.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=self.region,
        )

    def pages(self, service: str, operation: str) -> Iterator[dict[str, Any]]:
        """The pages of a listing. Raises SourceError."""
        try:
            for page in self._clients[service].get_paginator(operation).paginate():
                self._context.requests += 1
                yield page
        except self._errors as error:
            raise SourceError(self._sentence(error)) from error

    def _describe(self, operation: str, parameter: str, value: str) -> dict[str, Any]:
        self._context.requests += 1
        try:
            found: dict[str, Any] = getattr(self._clients["sagemaker"], operation)(**{parameter: value})
        except self._errors as error:
            self._context.shortfalls.append(f"{operation} of {value}: {self._sentence(error)}")
            return {}
        # The SDK takes a body that is no JSON, as half of one is, for an answer that tells nothing.
        if operation.startswith("describe_") and parameter not in found:
            self._context.shortfalls.append(f"{self._context.source}: {operation} of {value} was cut off on its way")
            return {}
        return found

    def _sentence(self, error: Exception) -> str:
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        kind = code or type(error).__name__
        if kind in {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"}:
            return f"{self._context.source}: no AWS credentials were found ({error}): log in, or name a profile"
        if "Expired" in kind or "Token" in kind or kind == "UnrecognizedClientException":
            return f"{self._context.source}: the AWS credentials are not valid any more ({kind}): log in again"
        if "AccessDenied" in kind or "NotAuthorized" in kind:
            return f"{self._context.source}: these credentials may not do it ({kind}): give them read access"
        return f"{self._context.source}: {kind}" + (f": {error}" if not code else "") + ": scan it again later"


def _endpoint(context: Context, account: _Account, name: str, grants: Grants | None) -> Declaration:
    endpoint = account.describe("describe_endpoint", "EndpointName", name)
    config = account.describe("describe_endpoint_config", "EndpointConfigName", str(endpoint.get("EndpointConfigName")))
    live, shadows = config.get("ProductionVariants") or [], config.get("ShadowProductionVariants") or []
    models = [
        account.describe("describe_model", "ModelName", str(variant["ModelName"]))
        for variant in [*live, *shadows]
        if variant.get("ModelName")
    ]
    containers = [one for model in models for one in (model.get("PrimaryContainer"), *(model.get("Containers") or []))]
    arn = str(endpoint.get("EndpointArn") or "")
    tags = account.describe("list_tags", "ResourceArn", arn).get("Tags", []) if arn else []
    status = str(endpoint.get("EndpointStatus") or "unknown")
    return context.declaration(
        name,
        name,
        urls=(f"https://runtime.sagemaker.{account.region}.amazonaws.com/endpoints/{name}/invocations",),
        state=DeclarationState.RETIRED if status in _GONE else DeclarationState.ACTIVE,
        product="sagemaker",
        model=next((str(variant["ModelName"]) for variant in live if variant.get("ModelName")), None),
        artifact=next((str(one["ModelDataUrl"]) for one in containers if one and one.get("ModelDataUrl")), None),
        image=next((str(one["Image"]) for one in containers if one and one.get("Image")), None),
        owner=owner_in((str(tag.get("Key")), tag.get("Value")) for tag in tags),
        details=tuple(_details(status, config, live, shadows, models, grants, arn)),
    )


def _details(
    status: str,
    config: dict[str, Any],
    live: list[dict[str, Any]],
    shadows: list[dict[str, Any]],
    models: list[dict[str, Any]],
    grants: Grants | None,
    arn: str,
) -> Iterator[str]:
    yield f"status {status}"
    for word, variants in (("variant", live), ("shadow variant", shadows)):
        for variant in variants:
            yield f"{word} {variant.get('VariantName')}: weight {variant.get('InitialVariantWeight', 1)}"
    capture = config.get("DataCaptureConfig") or {}
    on = capture.get("EnableCapture")
    yield f"captures {capture.get('InitialSamplingPercentage')} % of its data" if on else "captures no data"
    isolated = [bool(model.get("EnableNetworkIsolation")) for model in models]
    yield "network isolation" if isolated and all(isolated) else "no network isolation"
    if grants is None:
        yield "who may invoke it is unknown"
        return
    principals = grants.allowed("sagemaker:InvokeEndpoint", arn)
    named = ", ".join(principals[:MOST_NAMED]) or "nobody by the policies of this account"
    more = f" and {len(principals) - MOST_NAMED} more" if len(principals) > MOST_NAMED else ""
    yield f"may be invoked by {named}{more}"


prepare = source_of_declarations(read)
