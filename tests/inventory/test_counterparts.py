"""Which endpoint is which declared thing."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, endpoint

from inventory.counterparts import Tier, match, socket_of
from inventory.model import (
    Declaration,
    DeclarationKind,
    Endpoint,
    Exposure,
    InferenceRoute,
    Membership,
    Ruling,
    Workload,
)

SOURCE = "catalogue:/lab/approved.csv"


def declared(key: str = "iris", **parts: object) -> Declaration:
    defaults = {"source": SOURCE, "key": key, "name": key, "scope": "list", "scan": "s1", "at": NOW}
    return Declaration.model_validate(defaults | parts)


def ruling(verdict: str, key: str = "iris", of: str = "abc234") -> Ruling:
    return Ruling(source=SOURCE, key=key, endpoint=of, verdict=verdict, who="ana", why="asked", at=NOW)


def tiers(declaration: Declaration, *endpoints: Endpoint) -> dict[str, Tier]:
    found = match([declaration], endpoints, [])
    return {one.endpoint.id: one.tier for one in (*found.matches, *found.proposals)}


BY_EXPOSURE = endpoint(
    id="pod", address="10.1.0.7", exposures=(Exposure(via="ingress", url="https://ml.example/iris"),)
)
TAKING = endpoint(
    is_model_endpoint=True,
    inference_routes=(InferenceRoute(method="POST", path="/score", takes=("age", "income", "zip")),),
)
RUNNING = endpoint(
    cluster=Membership(
        workload=Workload(cluster="c", namespace="ml", kind="Deployment", name="iris", uid="u"), images=("team/iris:3",)
    )
)
BY_NAME = endpoint(id="tls", scheme="https", port=443, certificate_names=("ml.example", "*.wild.example"))


@pytest.mark.parametrize(
    ("parts", "known", "expected"),
    [
        ({"urls": ("http://127.0.0.9:5000/predict",)}, endpoint(), Tier.URL),
        ({"urls": ("127.0.0.9:5000",)}, endpoint(), Tier.URL),
        ({"urls": ("http://127.0.0.9:5001",)}, endpoint(), None),
        ({"urls": ("http://127.0.0.9",)}, endpoint(port=80), Tier.URL),
        ({"urls": ("https://ml.example/iris",)}, BY_EXPOSURE, Tier.URL),
        ({"urls": ("https://ML.example/v1",)}, BY_NAME, Tier.CERTIFICATE),
        ({"urls": ("https://a.wild.example/v1",)}, BY_NAME, Tier.OPERATIONS),
        ({"urls": ("https://a.b.wild.example/v1",)}, BY_NAME, None),
        ({"urls": ("http://iris.example:5000",), "places": ("127.0.0.9:5000",)}, endpoint(), Tier.PLACE),
        ({"kind": DeclarationKind.ROUTE, "urls": ("http://127.0.0.9:5000",)}, endpoint(), None),
        ({"kind": DeclarationKind.ROUTE, "backends": ("http://127.0.0.9:5000",)}, endpoint(), Tier.URL),
        ({"model": "churn-model"}, endpoint(base_path="/ml/churn-model"), Tier.MODEL_NAME),
        ({"model": "Churn-Model"}, endpoint(title="The churn-model of team b"), Tier.MODEL_NAME),
        ({"model": "v1"}, endpoint(base_path="/v1"), None),
        ({"inputs": ("age", "income")}, TAKING, Tier.INPUTS),
        ({"inputs": ("age", "income", "height")}, TAKING, None),
        ({"inputs": ("age",)}, TAKING, None),
        ({"image": "team/iris:3"}, RUNNING, Tier.IMAGE),
        ({"image": "team/iris:30"}, RUNNING, None),
        ({"image": None}, RUNNING, None),
        ({"urls": ("http://[::1", "")}, endpoint(), None),
    ],
)
def test_what_they_have_in_common(parts: dict[str, object], known: Endpoint, expected: Tier | None) -> None:
    assert tiers(declared(**parts), known).get(known.id) == expected


def in_cluster(uid: str, **parts: object) -> Endpoint:
    workload = Workload(cluster="c", namespace="ml", kind="Deployment", name="iris", uid=uid)
    place = Membership(workload=workload)
    return endpoint(cluster=place, **parts)


def test_a_clusters_own_word_is_of_its_own_workload_only() -> None:
    here, elsewhere = in_cluster("u1", id="here"), in_cluster("u2", id="elsewhere", address="127.0.0.8")
    declaration = declared(workload_uids=("own", "u1"))
    assert tiers(declaration, here, elsewhere) == {"here": Tier.WORKLOAD}
    assert tiers(declared(workload="ml/Deployment/iris"), here, elsewhere).keys() == {"here", "elsewhere"}


def test_a_private_address_is_another_host_in_each_site() -> None:
    known = [endpoint(id="near", address="10.0.0.5"), endpoint(id="far", address="10.0.0.5", site="other")]
    found = match([declared(urls=("http://10.0.0.5:5000",))], known, [])
    assert [(one.endpoint.id, one.tier) for one in found.matches] == [("near", Tier.URL)]
    assert tiers(declared(places=("10.0.0.5:5000",), site="other"), *known) == {"far": Tier.PLACE}
    alone = match([declared(urls=("http://10.0.0.5:5000",), site="third")], known, [])
    assert (alone.matches, {one.endpoint.id for one in alone.proposals}) == ((), {"near", "far"})
    assert all("in another site" in one.why for one in alone.proposals)
    balanced = endpoint(
        id="far", site="k8s", address="10.1.0.7", exposures=(Exposure(via="load-balancer", url="http://10.9.9.9:80"),)
    )
    assert tiers(declared(urls=("http://10.9.9.9",)), balanced) == {"far": Tier.URL}
    public = [endpoint(id="far", address="8.8.8.8", site="other")]
    assert tiers(declared(urls=("http://8.8.8.8:5000",)), *public) == {"far": Tier.URL}


MODEL = {"kind": DeclarationKind.MODEL, "source": "mlflow:http://m", "artifact": "s3://models/churn/3/"}


@pytest.mark.parametrize(
    ("model", "rulings", "expected"),
    [
        ({}, [], Tier.ARTIFACT),
        ({"artifact": "s3://models/churn/30"}, [], None),
        ({"artifact": None}, [], None),
        ({"kind": DeclarationKind.ENDPOINT}, [], None),
        ({}, ["rejected"], None),
        ({}, ["confirmed"], Tier.CONFIRMED),
    ],
)
def test_a_registered_model_is_what_a_declared_endpoint_says_it_serves(
    model: dict[str, object], rulings: list[str], expected: Tier | None
) -> None:
    serving = declared("serving", urls=("http://127.0.0.9:5000",), artifact="s3://models/churn/3")
    version = declared("churn/3", **(MODEL | model))
    said = [ruling(word, "churn/3").model_copy(update={"source": version.source}) for word in rulings]
    found = match([version, serving], [endpoint()], said)
    assert [one.tier for one in found.of_declaration[serving.id]] == [Tier.URL]
    assert [one.tier for one in found.of_declaration.get(version.id, [])] == ([expected] if expected else [])
    assert not [one for one in found.proposals if one.declaration == version]


def test_a_model_that_no_matched_endpoint_serves_is_matched_to_nothing() -> None:
    serving = declared("serving", urls=("http://127.0.0.9:5999",), artifact="s3://models/churn/3/")
    assert match([declared("churn/3", **MODEL), serving], [endpoint()], []).matches == ()


def test_operations_point_at_what_has_no_others() -> None:
    routes = (InferenceRoute(method="POST", path="/score"),)
    same = endpoint(id="same", inference_routes=routes)
    more = endpoint(id="more", inference_routes=(*routes, InferenceRoute(method="POST", path="/other")))
    assert tiers(declared(operations=("POST /score", "GET /health")), same, more) == {"same": Tier.OPERATIONS}
    crowd = [endpoint(id=f"e{number}", inference_routes=routes) for number in range(6)]
    assert tiers(declared(operations=("POST /score",)), *crowd) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/ml/iris/predict", {"iris"}), ("/ml", {"iris", "churn"}), ("/", {"root"}), ("/other", {"root"}), ("", {"root"})],
)
def test_a_path_leads_to_the_application_below_it(path: str, expected: set[str]) -> None:
    known = [endpoint(id="iris", base_path="/ml/iris"), endpoint(id="churn", base_path="/ml/churn")]
    if "root" in expected:
        known.append(endpoint(id="root", base_path="/"))
    assert set(tiers(declared(urls=(f"http://127.0.0.9:5000{path}",)), *known)) == expected


def test_a_persons_word_wins() -> None:
    by_url = declared(urls=("http://127.0.0.9:5000",))
    other = endpoint(id="other", address="127.0.0.8")
    found = match([by_url], [endpoint(), other], [ruling("rejected"), ruling("confirmed", of="other")])
    assert [(one.endpoint.id, one.tier) for one in found.matches] == [("other", Tier.CONFIRMED)]
    assert "ana confirmed it on 2026-05-04: asked" in found.matches[0].why
    weak = declared(model="churn-model")
    titled = endpoint(title="churn-model")
    assert match([weak], [titled], [ruling("rejected")]).proposals == ()
    assert match([weak], [titled], [ruling("confirmed", of="unknown")]).matches == ()


def test_a_proof_leaves_no_proposal() -> None:
    named = declared(urls=("http://127.0.0.9:5000",), model="churn-model")
    found = match([named], [endpoint(), endpoint(id="other", address="127.0.0.8", title="churn-model")], [])
    assert [one.endpoint.id for one in found.matches] == ["abc234"]
    assert found.proposals == ()
    assert found.of_declaration[named.id] == found.of_endpoint["abc234"] == list(found.matches)


@given(st.text(max_size=60))
def test_any_text_is_a_socket_or_none(text: str) -> None:
    found = socket_of(text)
    assert found is None or (found[0] and 0 < found[1] <= 65535)


def test_order_does_not_matter_and_each_pair_is_said_once() -> None:
    addresses = [f"10.0.0.{number}" for number in range(1, 20)]
    known = [endpoint(id=f"{a}-{p}", address=a, port=p) for a, p in product(addresses, (80, 8000))]
    said = [declared(a, urls=(f"http://{a}:8000", f"http://{a}:8000/predict")) for a in addresses[::2]]
    one = match(said, known, [])
    other = match(reversed(said), list(reversed(known)), [])
    pairs = [(m.declaration.key, m.endpoint.id) for m in one.matches]
    assert sorted(pairs) == sorted((m.declaration.key, m.endpoint.id) for m in other.matches)
    assert sorted(pairs) == sorted((a, f"{a}-8000") for a in addresses[::2])
