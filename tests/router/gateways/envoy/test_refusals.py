import pytest

from router.gateways.envoy.refusals import words

CHAIN = (
    'goo.gle/debugproto\nname: "r4"\n: Proto constraint validation failed (RouteConfigurationValidationError.'
    "VirtualHosts[0]: embedded message failed validation | caused by VirtualHostValidationError.Routes[0]: embedded "
    "message failed validation | caused by RouteValidationError.Route: embedded message failed validation | caused by "
    "RetryBackOffValidationError.BaseInterval: value must be greater than 0s)"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CHAIN, "virtual_hosts[0].routes[0].route.base_interval: value must be greater than 0s"),
        ("route: unknown\n  cluster 'x'", "route: unknown cluster 'x'"),
        ("Proto constraint validation failed (something of another form)", "something of another form)"),
        ("", ""),
    ],
)
def test_a_refusal_names_the_field(error: str, said: str) -> None:
    assert words(error) == said


def test_a_long_refusal_keeps_its_end() -> None:
    said = words("name: x " * 1000 + "the cause")
    assert said.endswith("the cause")
    assert len(said) < 500
