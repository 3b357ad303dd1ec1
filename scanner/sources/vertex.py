"""Vertex AI: the endpoints of one project and region, what is deployed behind each, and how it is reached.

The target is ``vertex:PROJECT/REGION``, or the URL of the location at another host of the interface. Credentials are
Google's application default ones, found by Google's own library and read by nothing else. Only GETs are sent.
Interface: Vertex AI REST v1.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from inventory.model import Declaration
from scanner.io.api import Api, ApiError
from scanner.sources.documents import open_api
from scanner.sources.reading import Context, SourceError, owner_in, source_of_declarations

PAGE = 100
_SCOPE = "https://www.googleapis.com/auth/cloud-platform.read-only"


def read(context: Context) -> Iterator[Declaration]:
    """Every endpoint with its deployed models, their shares of the traffic, and who can reach it."""
    base, path = _place(context)
    api = open_api(context, {"Authorization": f"Bearer {_token(context)}"}, base)
    try:
        models = {str(one.get("name")): one for one in _pages(api, f"{path}/models", "models")}
        for endpoint in _pages(api, f"{path}/endpoints", "endpoints"):
            yield _endpoint(context, base, endpoint, models)
    except ApiError as error:
        raise SourceError(_sentence(context, error)) from error
    finally:
        context.requests += api.calls


def _place(context: Context) -> tuple[str, str]:
    """The host of the interface, and the path of the location."""
    rest = context.rest.rstrip("/")
    if "://" in rest:
        parts = urlsplit(rest)
        return f"{parts.scheme}://{parts.netloc}", parts.path
    project, _, region = rest.partition("/")
    if not project or not region or "/" in region:
        raise SourceError(f"{context.source}: write vertex:PROJECT/REGION")
    return f"https://{region}-aiplatform.googleapis.com", f"/v1/projects/{project}/locations/{region}"


def _token(context: Context) -> str:
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    except ModuleNotFoundError as error:
        raise SourceError("Vertex AI needs Google's auth library: install gnomon with its extra 'google'") from error
    try:
        credentials: Any = google.auth.default(scopes=[_SCOPE])[0]
        request = Request()
        try:
            credentials.refresh(request)
        finally:
            request.session.close()
    except (GoogleAuthError, OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(
            f"{context.source}: no Google credentials were found ({first}): log in by `gcloud auth application-default "
            "login`"
        ) from error
    return str(credentials.token)


def _pages(api: Api, path: str, name: str) -> Iterator[dict[str, Any]]:
    foreign = "no list of Vertex AI's"
    return api.pages(path, name, parameter="pageToken", following="nextPageToken", foreign=foreign, pageSize=PAGE)


def _endpoint(context: Context, base: str, endpoint: dict[str, Any], models: dict[str, dict[str, Any]]) -> Declaration:
    resource = str(endpoint.get("name"))
    deployed = [one for one in endpoint.get("deployedModels") or [] if isinstance(one, dict)]
    shares: dict[str, Any] = endpoint.get("trafficSplit") or {}
    by_share = sorted(deployed, key=lambda one: -float(shares.get(str(one.get("id")), 0) or 0))
    main = by_share[0] if by_share else {}
    model = models.get(str(main.get("model")), {})
    own = endpoint.get("dedicatedEndpointDns")
    return context.declaration(
        resource.rpartition("/")[2],
        str(endpoint.get("displayName") or resource.rpartition("/")[2]),
        urls=(f"https://{own}/v1/{resource}:predict" if own else f"{base}/v1/{resource}:predict",),
        product="vertex-ai",
        model=model.get("displayName") or main.get("displayName") or None,
        model_version=main.get("modelVersionId") or model.get("versionId"),
        artifact=model.get("artifactUri"),
        image=(model.get("containerSpec") or {}).get("imageUri"),
        owner=owner_in((endpoint.get("labels") or {}).items()),
        details=tuple(_details(endpoint, deployed, shares)),
    )


def _details(endpoint: dict[str, Any], deployed: list[dict[str, Any]], shares: dict[str, Any]) -> Iterator[str]:
    private = endpoint.get("network") or (endpoint.get("privateServiceConnectConfig") or {}).get(
        "enablePrivateServiceConnect"
    )
    yield "reached from a private network" if private else "reached from everywhere, by whoever Google's IAM lets in"
    if not deployed:
        yield "nothing is deployed"
    for one in deployed:
        share = shares.get(str(one.get("id")))
        account = one.get("serviceAccount")
        yield (
            f"deployed {one.get('displayName') or one.get('id')}"
            + (f", {share} % of the traffic" if share is not None else "")
            + (f", as {account}" if account else "")
        )
    if (endpoint.get("predictRequestResponseLoggingConfig") or {}).get("enabled"):
        yield "requests and answers are logged"


def _sentence(context: Context, error: ApiError) -> str:
    if error.status in {401, 403}:
        return f"{context.source} does not let us read ({error}): give the identity the role Vertex AI Viewer"
    return f"{context.source} was not read to the end: {error}"


prepare = source_of_declarations(read)
