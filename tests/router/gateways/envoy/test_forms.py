"""The short cut from forms to messages against the library: where it says anything, it says the same."""

from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NOW, route

from inventory.model import Override, Revision, Shadow, Sticky
from router.gateways.envoy.bootstrap import Start, bootstrap
from router.gateways.envoy.fixed import Fixed
from router.gateways.envoy.forms import Forms, OddFormError
from router.gateways.envoy.resources import resources

CLUSTER = "envoy.config.cluster.v3.Cluster"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
SCOPE = "envoy.config.route.v3.ScopedRouteConfiguration"


def by_library(schema: Any, name: str, form: Any) -> Any:
    return json_format.ParseDict(form, schema.type(name)(), descriptor_pool=schema._pool)


def by_short_cut(schema: Any, name: str, form: Any) -> Any:
    made = schema.type(name)()
    Forms(schema._empty).fill(made, form)
    return made


def same(schema: Any, one: Any, other: Any) -> bool:
    """Maps within packed messages come in any order: what is unpacked counts."""
    return schema.as_dict(one) == schema.as_dict(other)


@settings(max_examples=30, deadline=None)
@given(
    st.builds(Shadow, backend=st.just("replacement"), percent=st.floats(0, 100), methods=st.just(("GET", "POST")))
    | st.none(),
    st.sampled_from([None, Sticky(header="x-user", cookie="session", address=True)]),
    st.sampled_from([(), (Override(header="x-user", value="ana", backend="replacement"),)]),
    st.sampled_from(["http://127.0.0.9:1/ml", "https://models.example", "http://[fd00::7]:80"]),
)
def test_resources_of_routes_need_no_library(schema: Any, shadow: Any, sticky: Any, overrides: Any, url: str) -> None:
    spec = route(shadow=shadow, sticky=sticky, overrides=overrides)
    first, *others = spec.backends
    spec = spec.model_copy(update={"backends": (first.model_copy(update={"url": url}), *others)})
    made = resources(Revision(route="iris", number=1, spec=spec, at=NOW, who="ana", why="x"))
    for name, forms in ((CLUSTER, made.clusters), (ROUTES, made.routes), (SCOPE, made.scopes)):
        for form in forms.values():
            assert same(schema, by_short_cut(schema, name, form), by_library(schema, name, form))


def test_a_bootstrap_needs_no_library(schema: Any) -> None:
    form = bootstrap(Start("n", "127.0.0.1", 1, "/a", "/b", "/c", "/d", "/e"))
    name = "envoy.config.bootstrap.v3.Bootstrap"
    assert same(schema, by_short_cut(schema, name, form), by_library(schema, name, form))


def test_a_fixed_form_says_the_same_each_time_and_to_each_schema(schema: Any) -> None:
    plain = {"thresholds": [{"max_requests": 7, "max_retries": 1}]}
    name, fixed = "envoy.config.cluster.v3.CircuitBreakers", Fixed(plain)
    packed = {"@type": f"type.googleapis.com/{name}", **plain}
    one, held = Forms(schema._empty), Fixed(packed)
    for forms in (one, one, Forms(schema._empty)):
        for form, kind, expected in ((fixed, name, plain), (held, "google.protobuf.Any", packed)):
            made = schema.type(kind)()
            forms.fill(made, form) if kind == name else forms._said(made, form)
            assert same(schema, made, by_library(schema, kind, expected))
    with pytest.raises(OddFormError):
        by_short_cut(schema, name, Fixed({"no_such_field": 1}))


scalars = st.none() | st.booleans() | st.integers(-9, 2**33) | st.floats() | st.sampled_from(
    ["", "1s", "0.25s", "x", "STATIC", "MILLION", "7", "1.5"]
)  # fmt: skip
names = st.sampled_from([
    "name", "type", "connect_timeout", "metadata", "filter_metadata", "circuit_breakers", "thresholds", "priority",
    "max_requests", "load_assignment", "cluster_name", "endpoints", "lb_endpoints", "transport_socket", "typed_config",
    "@type", "dns_lookup_family", "eds_cluster_config", "cluster_type", "value", "respect_dns_ttl", "connectTimeout",
    "typed_extension_protocol_options", "a", "health_checks", "timeout", "interval", "common_lb_config",
])  # fmt: skip
forms = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names, forms, max_size=5))
def test_whatever_it_takes_the_library_takes_and_means_the_same(schema: Any, form: dict[str, Any]) -> None:
    try:
        made = by_short_cut(schema, CLUSTER, form)
    except OddFormError:
        return
    assert same(schema, made, by_library(schema, CLUSTER, form))


@pytest.mark.parametrize("form", [
    {"name": 7},
    {"name": True},
    {"nmae": "x"},
    {"type": "NO_SUCH"},
    {"type": "STATIC", "cluster_type": {"name": "x"}},
    {"connect_timeout": "soon"},
    {"connect_timeout": 5},
    {"circuit_breakers": {"thresholds": {"priority": "HIGH"}}},
    {"circuit_breakers": {"thresholds": [{"max_requests": "7"}]}},
    {"circuit_breakers": {"thresholds": [{"max_requests": -7}]}},
    {"metadata": {"filter_metadata": {"a": [1]}}},
    {"metadata": {"filter_metadata": {"a": {"b": [1]}}}},
    {"typed_extension_protocol_options": {"a": {"@type": "type.googleapis.com/no.such"}}},
    {"load_assignment": "x"},
])  # fmt: skip
def test_what_is_odd_is_left_to_the_library(schema: Any, form: dict[str, Any]) -> None:
    with pytest.raises(OddFormError):
        by_short_cut(schema, CLUSTER, form)
