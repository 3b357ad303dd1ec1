"""Envoy's values, as it writes them for Prometheus, by the names that it has for them."""

from hypothesis import given
from hypothesis import strategies as st

from router.gateways.envoy.stats import parse

_SAID = """# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_upstream_rq_completed{envoy_cluster_name="iris|origin"} 10
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="iris|origin"} 2
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="iris|origin"} 8
envoy_cluster_upstream_rq_total{envoy_cluster_name="iris|replacement|shadow"} 4

# TYPE envoy_http_no_route counter
envoy_http_no_route{envoy_http_conn_manager_prefix="edge"} 3
# TYPE envoy_cluster_manager_warming_clusters gauge
envoy_cluster_manager_warming_clusters{} 1
# TYPE envoy_cluster_upstream_rq_time histogram
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="iris|origin",le="0.5"} 0
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="iris|origin",le="5"} 9
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="iris|origin",le="7"} 9
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="iris|origin",le="300000"} 10
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="iris|origin",le="+Inf"} 11
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="iris|origin"} 2179.9622066269416791
"""


def test_values_have_the_names_that_envoy_has_for_them() -> None:
    assert parse(_SAID.splitlines()) == {
        "cluster.iris|origin.upstream_rq_completed": 10,
        "cluster.iris|origin.upstream_rq_5xx": 2,
        "cluster.iris|origin.upstream_rq_2xx": 8,
        "cluster.iris|replacement|shadow.upstream_rq_total": 4,
        "http.edge.no_route": 3,
        "cluster_manager_warming_clusters": 1,
        "cluster.iris|origin.upstream_rq_time#5": 9,
        "cluster.iris|origin.upstream_rq_time#300000": 1,
    }


@given(st.dictionaries(st.sampled_from(["iris|a", "iris|b", "digits|a"]), st.lists(st.integers(0, 9), max_size=6)))
def test_buckets_hold_what_is_within_each(held: dict[str, list[int]]) -> None:
    lines = [
        f'envoy_cluster_upstream_rq_time_bucket{{envoy_cluster_name="{name}",le="{bound}"}} {sum(counts[: bound + 1])}'
        for name, counts in held.items()
        for bound in range(len(counts))
    ]
    assert parse(lines) == {
        f"cluster.{name}.upstream_rq_time#{bound}": count
        for name, counts in held.items()
        for bound, count in enumerate(counts)
        if count
    }


@given(st.text())
def test_what_is_no_value_is_left_out(text: str) -> None:
    assert parse([f"envoy_{text}", text]) == {} or "{" in text
