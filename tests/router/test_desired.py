import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import endpoint, route

from inventory.model import Scheme, Shadow
from router.desired import adopt, origin_url, parse_weights, shadow, shift
from router.errors import RouteError


@pytest.mark.parametrize(
    ("address", "base_path", "scheme", "url"),
    [
        ("127.0.0.9", "/", Scheme.HTTP, "http://127.0.0.9:5000"),
        ("127.0.0.9", "/ml/iris/", Scheme.HTTP, "http://127.0.0.9:5000/ml/iris"),
        ("fd00::7", "/api", Scheme.HTTPS, "https://[fd00::7]:5000/api"),
    ],
)
def test_adoption_sends_every_request_where_it_went(address: str, base_path: str, scheme: Scheme, url: str) -> None:
    found = endpoint(address=address, base_path=base_path, scheme=scheme)
    spec = adopt(found, name="iris", domain="Models.Example", to="http://127.0.0.9:8000/", shadow_percent=10)
    assert origin_url(found) == url
    assert spec.hosts == ("iris.models.example",)
    assert [(one.name, one.url, one.weight) for one in spec.backends] == [
        ("origin", url, 100),
        ("replacement", "http://127.0.0.9:8000", 0),
    ]
    assert spec.shadow == Shadow(backend="replacement", percent=10)
    assert spec.endpoint == spec.backend("origin").endpoint == found.id


def test_adoption_without_a_replacement_has_one_backend() -> None:
    spec = adopt(endpoint(), name="iris", domain="localhost")
    assert [one.name for one in spec.backends] == ["origin"]
    assert spec.shadow is None


@pytest.mark.parametrize("scheme", [Scheme.TLS, Scheme.TCP])
def test_only_http_can_be_adopted(scheme: Scheme) -> None:
    with pytest.raises(RouteError, match=f"speaks {scheme.value}"):
        adopt(endpoint(scheme=scheme), name="iris", domain="localhost")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shadow_percent": 10}, "needs a replacement"),
        ({"to": "ftp://x"}, "http or https URL"),
        ({"to": "http://x", "shadow_percent": 101}, "less than or equal to 100"),
        ({"name": "Not A Name"}, "name"),
    ],
)
def test_an_adoption_that_cannot_be_says_why(options: dict[str, object], words: str) -> None:
    with pytest.raises(RouteError, match=words) as caught:
        adopt(endpoint(), **{"name": "iris", "domain": "localhost", **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@given(st.integers(0, 100))
def test_a_shift_moves_weights_and_nothing_else(weight: int) -> None:
    before = route()
    after = shift(before, {"origin": 100 - weight, "replacement": weight})
    assert [one.weight for one in after.backends] == [100 - weight, weight]
    assert shift(after, {"origin": 100, "replacement": 0}) == before


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"origin": 90}, "origin=90, replacement=0 add up to 90"),
        ({"origin": 90, "nobody": 10}, "'nobody'; its backends are origin, replacement"),
        ({"origin": 200, "replacement": -100}, "origin was given 200"),
    ],
)
def test_a_shift_that_cannot_be_says_why(weights: dict[str, int], words: str) -> None:
    with pytest.raises(RouteError, match=words):
        shift(route(), weights)


def test_a_shadow_that_gets_everything_is_no_shadow() -> None:
    spec = shadow(route(), "replacement", 10)
    assert shift(spec, {"origin": 1, "replacement": 99}).shadow == spec.shadow
    assert shift(spec, {"origin": 0, "replacement": 100}).shadow is None


def test_a_shadow_changes_its_share_and_keeps_what_else_it_was_told() -> None:
    told = Shadow(backend="replacement", percent=1, methods=("GET",), max_body_bytes=7)
    spec = route(shadow=told)
    assert shadow(spec, "replacement", 50).shadow == told.model_copy(update={"percent": 50.0})
    assert shadow(spec, "replacement", 0).shadow is None


@pytest.mark.parametrize(
    ("backend", "percent", "words"),
    [
        ("origin", 10, "its own shadow"),
        ("nobody", 10, "no backend 'nobody'"),
        ("replacement", 101, "not 101"),
        ("replacement", -1, "not -1"),
        ("replacement", float("nan"), "not nan"),
    ],
)
def test_a_shadow_that_cannot_be_says_why(backend: str, percent: float, words: str) -> None:
    with pytest.raises(RouteError, match=words):
        shadow(route(), backend, percent)


def test_weights_are_read() -> None:
    assert parse_weights(["origin=90", "replacement=10"]) == {"origin": 90, "replacement": 10}


@pytest.mark.parametrize("words", [[], ["origin"], ["=5"], ["a="], ["a=1.5"], ["a=-1"], ["a=1", "a=2"], ["a=٣"]])
def test_weights_that_cannot_be_read_are_named(words: list[str]) -> None:
    with pytest.raises(RouteError):
        parse_weights(words)


def test_a_path_is_of_the_domain_or_of_the_hosts_that_are_named() -> None:
    spec = adopt(endpoint(), name="iris", domain="Models.Example", path="/m/iris/")
    assert (spec.hosts, spec.path, spec.names) == (("models.example",), "/m/iris", ("models.example/m/iris",))
    spec = adopt(endpoint(), name="iris", domain="localhost", path="/m/iris", hosts=("A.example", "b.example"))
    assert spec.names == ("a.example/m/iris", "b.example/m/iris")


@pytest.mark.parametrize("path", ["m", "//m", "/m//n", "/M", "/m/../n", "/.", "/m%20", "/m?x", "/é", "/m n", "/m/*"])
def test_a_path_that_could_be_read_in_two_ways_is_none(path: str) -> None:
    with pytest.raises(RouteError, match="a route's path"):
        adopt(endpoint(), name="iris", domain="localhost", path=path)
