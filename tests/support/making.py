"""Makers and hypothesis strategies of domain values, for every test that needs some."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from inventory.model import (
    Account,
    Backend,
    Certificate,
    Endpoint,
    Evidence,
    Exposed,
    Fact,
    Identified,
    InferenceRoute,
    Kind,
    Listener,
    Observation,
    Owned,
    Posture,
    Postured,
    Questioned,
    RouteSpec,
    Scan,
    ScanStatus,
    Scheme,
)

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LISTENER = Listener(site="default", address="127.0.0.9", port=5000)


def ago(**parts: float) -> datetime:
    """A moment before NOW."""
    return NOW - timedelta(**parts)


def observation(
    fact: Fact,
    *,
    scan: str = "s1",
    at: datetime = NOW,
    base_path: str = "/",
    listener: Listener = LISTENER,
    evidence: tuple[Evidence, ...] = (),
) -> Observation:
    return Observation(
        scan=scan, scope="lab", listener=listener, at=at, fact=fact, base_path=base_path, evidence=evidence
    )


def identified(**parts: object) -> Identified:
    defaults = {"kind": Kind.MODEL_ENDPOINT, "product": "flask", "is_model_endpoint": True, "confidence": 0.9}
    return Identified.model_validate(defaults | parts)


def scan(**parts: object) -> Scan:
    defaults = {
        "id": "s1",
        "scope": "lab",
        "site": "default",
        "source": "subnet",
        "targets": ("127.0.0.0/24",),
        "ports": (5000,),
        "started_at": NOW,
        "ended_at": NOW,
        "status": ScanStatus.COMPLETE,
        "account": Account(planned=10, answered=2, refused=8),
    }
    return Scan.model_validate(defaults | parts)


def endpoint(**parts: object) -> Endpoint:
    defaults = {
        "id": "abc234",
        "site": "default",
        "scope": "lab",
        "address": "127.0.0.9",
        "port": 5000,
        "scheme": Scheme.HTTP,
        "url": "http://127.0.0.9:5000",
        "kind": Kind.MODEL_ENDPOINT,
        "product": "flask",
        "is_model_endpoint": True,
        "posture": Posture.OPEN,
        "first_seen": NOW,
        "last_seen": NOW,
    }
    return Endpoint.model_validate(defaults | parts)


def route(name: str = "iris", **parts: object) -> RouteSpec:
    defaults = {
        "name": name,
        "hosts": (f"{name}.localhost",),
        "backends": (
            Backend(name="origin", url="http://127.0.0.9:5000", weight=100, endpoint="abc234"),
            Backend(name="replacement", url="http://127.0.0.9:8000"),
        ),
    }
    return RouteSpec.model_validate(defaults | parts)


moments = st.integers(0, 5).map(lambda hours: NOW + timedelta(hours=hours))
base_paths = st.sampled_from(["/", "/ml/iris", "/api"])
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(Exposed, scheme=st.sampled_from([Scheme.HTTP, Scheme.HTTPS])),
    st.builds(Certificate, names=st.sampled_from([(), ("a.example",)]), key_digest=st.sampled_from(["k1", "k2"])),
    st.builds(
        Identified,
        kind=st.sampled_from(Kind),
        product=st.sampled_from([None, "flask", "fastapi"]),
        confidence=st.sampled_from([0.2, 0.9]),
        conclusive=st.booleans(),
        inference_routes=st.sampled_from([(), (InferenceRoute(method="POST", path="/predict"),)]),
    ),
    st.builds(Postured, posture=st.sampled_from(Posture), decided_by=st.sampled_from([None, "GET /"])),
    st.builds(Questioned, requests=st.just(())),
    st.builds(Owned, owner=st.sampled_from(["ana", "bo"]), said_by=st.just("label")),
)
observations = st.builds(
    observation,
    facts,
    scan=st.sampled_from(["s1", "s2", "s3"]),
    at=moments,
    base_path=base_paths,
)
