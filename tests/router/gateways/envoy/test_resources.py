"""Every resource is checked against the messages of the very Envoy that will read it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NOW, route

from inventory.model import Backend, Revision, Shadow
from router.gateways.envoy.capture import COPY_SECONDS
from router.gateways.envoy.hop import BODY_CLASSES
from router.gateways.envoy.resources import (
    CREDENTIAL_HEADERS,
    cluster,
    copy_cluster,
    resources,
    sample_numerator,
)
from router.shadow.pair import Window


def revision(number: int = 1, **parts: Any) -> Revision:
    return Revision(route="iris", number=number, spec=route(**parts), at=NOW, who="ana", why="x")


hosts = st.sampled_from(["127.0.0.9", "[fd00::7]", "models.example"])
urls = st.builds("{}://{}{}{}".format, st.sampled_from(["http", "https"]), hosts, st.sampled_from(["", ":8000"]),
                 st.sampled_from(["", "/ml", "/a%20b"]))  # fmt: skip
shadows = st.none() | st.builds(
    Shadow,
    backend=st.just("replacement"),
    percent=st.floats(0, 100),
    methods=st.sampled_from([(), ("GET",), ("GET", "POST")]),
    max_body_bytes=st.integers(0, 16_777_216),
)


@settings(max_examples=40)
@given(urls, urls, shadows, st.integers(1, 100), st.floats(0, 1e6))
def test_every_route_makes_resources_that_envoy_has_messages_for(
    schema: Any, origin: str, replacement: str, shadow: Shadow | None, weight: int, timeout: float
) -> None:
    backends = (
        Backend(name="origin", url=origin, weight=weight),
        Backend(name="replacement", url=replacement, weight=100 - weight),
    )
    made = resources(revision(backends=backends, shadow=shadow, timeout_seconds=timeout))
    for form in made.clusters.values():
        schema.message("envoy.config.cluster.v3.Cluster", form)
    for form in made.scopes.values():
        schema.message("envoy.config.route.v3.ScopedRouteConfiguration", form)
    (configuration,) = made.routes.values()
    schema.message("envoy.config.route.v3.RouteConfiguration", configuration)
    named = {
        name
        for entry in configuration["virtual_hosts"][0]["routes"]
        for name in [one["name"] for one in entry["route"]["weighted_clusters"]["clusters"]]
        + [one["cluster"] for one in entry["route"].get("request_mirror_policies", ())]
    }
    assert named <= set(made.clusters)


@given(st.floats(0.0, 100.0))
def test_a_sample_holds_every_arm_in_its_share(percent: float) -> None:
    """One random number decides on both: modulo a million for the sample, modulo 100 for the weights."""
    numerator = sample_numerator(percent)
    assert numerator % 100 == 0
    assert abs(numerator - percent * 10_000) <= 100
    assert (numerator == 0) == (percent == 0)


def test_a_sample_of_a_naive_numerator_would_not() -> None:
    """The trap itself: of 10 in a hundred, every one belongs to an arm of weight 10."""
    naive = [number for number in range(100) if number % 100 < 10]
    assert {number % 100 < 10 for number in naive} == {True}
    sampled = [number for number in range(1_000_000) if number < sample_numerator(10)]
    assert sum(number % 100 < 10 for number in sampled) == len(sampled) // 10


def test_a_weight_changes_no_cluster_and_a_move_changes_its_name() -> None:
    moved = Backend(name="origin", url="http://127.0.0.9:5001", weight=100)
    first, same = (resources(revision(number)).clusters for number in (1, 2))
    assert first == same
    assert set(resources(revision(backends=(moved, route().backends[1]))).clusters) != set(first)


def test_live_and_shadow_traffic_share_no_connection() -> None:
    made = resources(revision(shadow=Shadow(backend="replacement", percent=5))).clusters
    stats = {form["alt_stat_name"] for form in made.values()}
    assert stats == {"iris|origin", "iris|replacement", "iris|replacement|shadow", "iris|replacement|hop"}


@pytest.mark.parametrize("shadow", [None, Shadow(backend="replacement", percent=0)])
def test_without_a_shadow_nothing_is_copied_or_captured(shadow: Shadow | None) -> None:
    made = resources(revision(shadow=shadow))
    text = repr(made)
    assert "mirror" not in text
    assert "lua" not in text
    assert len(made.clusters) == 2


def test_no_credential_is_copied() -> None:
    made = resources(revision(shadow=Shadow(backend="replacement", percent=5)))
    (_, *sampled, _) = made.routes["iris"]["virtual_hosts"][0]["routes"]
    assert len(sampled) == 2
    for entry in sampled:
        (policy,) = entry["route"]["request_mirror_policies"]
        removed = {one["remove"] for one in policy["request_headers_mutations"] if "remove" in one}
        assert removed == set(CREDENTIAL_HEADERS) >= {"authorization", "cookie", "proxy-authorization", "x-api-key"}


@given(st.integers(1, 10_000), st.sampled_from(["http1", "http2"]))
def test_a_connection_to_a_shadow_has_room_for_all_that_may_go_straight(in_flight: int, protocol: str) -> None:
    spec = route(shadow={"backend": "replacement", "percent": 5, "budget": {"in_flight": in_flight}})
    backend = spec.backends[1].model_copy(update={"protocol": protocol})
    spec = spec.model_copy(update={"backends": (spec.backends[0], backend)})
    assert spec.shadow is not None
    room = copy_cluster(spec, spec.shadow)["per_connection_buffer_limit_bytes"]
    largest = 65_536 + 60 * 1024
    assert largest * (in_flight if protocol == "http2" else 1) < room or room == 2**31


def test_a_copy_that_is_not_answered_in_time_is_written_down_while_its_original_waits() -> None:
    spec = route(shadow={"backend": "replacement", "percent": 5})
    assert spec.shadow is not None
    (spoken,) = copy_cluster(spec, spec.shadow)["typed_extension_protocol_options"].values()
    assert spoken["common_http_protocol_options"]["max_stream_duration"] == f"{COPY_SECONDS}s"
    assert Window().seconds >= COPY_SECONDS + 10


def test_what_goes_straight_has_a_body_that_is_known_to_be_small() -> None:
    made = resources(revision(shadow=Shadow(backend="replacement", percent=5)))
    (_, straight, around, _) = made.routes["iris"]["virtual_hosts"][0]["routes"]
    small = {"name": "content-length", "range_match": {"start": 1, "end": 65_537}}
    assert straight["match"]["headers"] == [*around["match"]["headers"], small]
    ways = [entry["route"]["request_mirror_policies"][0]["cluster"] for entry in (straight, around)]
    assert ways[0].startswith("iris/replacement/shadow@")
    assert ways[1] == "iris/replacement/hop"


@given(st.integers(0, 16_777_216))
def test_the_hop_buffers_no_more_than_the_next_class(size: int) -> None:
    made = repr(resources(revision(shadow=Shadow(backend="replacement", percent=5, max_body_bytes=size))))
    expected = min(one for one in BODY_CLASSES if one >= size)
    assert f"'x-gnomon-limit', 'value': '{expected}'" in made


@pytest.mark.parametrize(
    ("url", "rewrite", "sni"),
    [
        ("http://127.0.0.9:5000", None, None),
        ("https://127.0.0.9:5000", None, None),
        ("http://models.example", "models.example", None),
        ("https://models.example", "models.example", "models.example"),
        ("https://models.example:8443", "models.example:8443", "models.example"),
    ],
)
def test_a_named_backend_gets_its_name(url: str, rewrite: str | None, sni: str | None) -> None:
    backend = Backend(name="origin", url=url, weight=100)
    made = resources(revision(backends=(backend,)))
    weighted = made.routes["iris"]["virtual_hosts"][0]["routes"][0]["route"]["weighted_clusters"]["clusters"][0]
    assert weighted.get("host_rewrite_literal") == rewrite
    transport = cluster("iris", backend).get("transport_socket", {})
    assert transport.get("typed_config", {}).get("sni") == sni
    assert bool(transport) == url.startswith("https")


def test_hosts_are_matched_in_lower_case_once() -> None:
    made = resources(revision(hosts=("Iris.Example", "iris.example")))
    assert list(made.scopes) == ["iris.example"]
