"""Pure: what one route's callers are held to, as Envoy's own filters enforce it: policies, limits, a question each.

A route without ``access`` says nothing here, and pays nothing.
"""

from typing import Any

from inventory.model import Access, RateLimit, RouteSpec
from router.gateways.envoy import calls
from router.gateways.envoy.callers import (
    IDENTITY_HEADERS,
    ISSUER_HEADER,
    JWT,
    OBSERVE,
    OURS,
    REQUIRE,
    REVOKED,
    SUBJECT_HEADER,
    TEAM_HEADER,
    THEIRS,
    VALID,
    any_of,
    claim,
)
from router.gateways.envoy.upstream import API
from router.governance import Held, RouteRule

RBAC = "envoy.filters.http.rbac"
LIMIT = "envoy.filters.http.local_ratelimit"
ASK = {"open": "gnomon.ask.open", "closed": "gnomon.ask.closed"}
ASK_CLUSTER = "gnomon-authorize"
TELLING = "gnomon.telling"
TOLD = {
    "x-gnomon-size": "%REQ(CONTENT-LENGTH)%",
    "x-gnomon-address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "x-gnomon-peer": "%DOWNSTREAM_PEER_URI_SAN%",
    "x-gnomon-claims": f"%DYNAMIC_METADATA({JWT}:{THEIRS})%",
}
"""What the authorisation service is told of a request beside its own headers, as Envoy knows it."""

ASK_TIMEOUT = "1s"

MOST_CALLERS = 100_000
"""Callers whose rates one route keeps apart; of more, those who called longest ago begin anew."""

_FILTERS = f"{API}.extensions.filters.http"
_ENABLED = {"@type": f"{API}.config.route.v3.FilterConfig", "config": {}}


def filters() -> list[dict[str, Any]]:
    """Their places in the chain, behind whoever says who calls. Each is off but for routes that want it."""
    found: list[dict[str, Any]] = [
        {"name": RBAC, "disabled": True, "typed_config": {"@type": f"{_FILTERS}.rbac.v3.RBAC"}},
        {
            "name": LIMIT,
            "disabled": True,
            "typed_config": {"@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit"},
        },
    ]
    asking = [
        {"name": name, "disabled": True, "typed_config": _ask(open_=kind == "open")} for kind, name in ASK.items()
    ]
    return [*found, _telling(), *asking]


def per_route(spec: RouteSpec, held: Held) -> dict[str, Any]:
    """What the entries of a route say to the filters; empty without ``access``."""
    access = spec.access
    if access is None:
        return {}
    made: dict[str, Any] = {
        calls.MARKER: _ENABLED,
        JWT: {"@type": f"{_FILTERS}.jwt_authn.v3.PerRouteConfig", "requirement_name": _requirement(access, held)},
    }
    if access.enforce:
        made[REVOKED] = _ENABLED
    asked = _asked(access)
    if access.enforce and not access.decided_by_asking:
        made[RBAC] = {"@type": f"{_FILTERS}.rbac.v3.RBACPerRoute", "rbac": {"rules": rules(spec.name, held.rule)}}
    limits = [limit for limit in access.limits if not limit.candidate]
    if limits:
        made[LIMIT] = _limits(spec.name, limits, held.gateways)
    if asked != "never":
        made[TELLING] = _ENABLED
        made[ASK[asked]] = {
            "@type": f"{_FILTERS}.ext_authz.v3.ExtAuthzPerRoute",
            "check_settings": {"http_service": _service(f"/{spec.name}")},
        }
    return made


def _asked(access: Access) -> str:
    """How each request is asked for. Where policies ask, the answer decides, and nothing that was decided ahead."""
    if access.recorded:
        return "closed"
    if access.decided_by_asking:
        return access.ask
    # Where nobody counts together, each gateway still counts.
    return "open" if access.shared_limits else "never"


def _requirement(access: Access, held: Held) -> str:
    """What is asked of tokens. Where only known callers may call, a certificate may do instead of a token."""
    if not access.enforce:
        return OBSERVE
    if access.decided_by_asking:
        return VALID
    return VALID if held.rule.default_allowed or not held.tokens or held.certificates else REQUIRE


def rules(route: str, rule: RouteRule) -> dict[str, Any]:
    """Who may call, in Envoy's RBAC.

    A token of ours says itself which routes it may use; of everybody else, those are listed who get another answer
    than the rest.
    """
    of_ours = claim(OURS, "sub", {"present_match": True})
    granted = claim(OURS, "routes", {"list_match": {"one_of": {"string_match": {"exact": route}}}})
    other: dict[str, Any] | None = {"any": True} if rule.default_allowed else None
    if rule.exceptions:
        listed = any_of(sorted(rule.exceptions))
        other = {"not_id": listed} if rule.default_allowed else listed
    principals = [granted]
    if other is not None:
        principals.append({"and_ids": {"ids": [{"not_id": of_ours}, other]}})
    return {"action": "ALLOW", "policies": {"policy": {"permissions": [{"any": True}], "principals": principals}}}


def _limits(route: str, limits: list[RateLimit], gateways: int) -> dict[str, Any]:
    """Token buckets by caller, team and route. Whoever does not say who they are is limited by network."""
    actions: list[dict[str, Any]] = []
    descriptors: list[dict[str, Any]] = []
    for limit in limits:
        bucket = _bucket(limit, gateways)
        for asked in _KEYS[limit.by]:
            actions.append({"actions": asked})
            descriptors.append({"entries": [_entry(one) for one in asked], "token_bucket": bucket})
    return {
        "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": f"limit.{route}",
        "filter_enabled": {"default_value": {"numerator": 100}},
        "filter_enforced": {"default_value": {"numerator": 100}},
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "enable_retry_after_header": True,
        "max_dynamic_descriptors": MOST_CALLERS,
        "rate_limits": actions,
        "descriptors": descriptors,
        "always_consume_default_token_bucket": False,
        "token_bucket": {"max_tokens": 2**31, "tokens_per_fill": 2**31, "fill_interval": "1s"},
    }


def _from_header(header: str, key: str) -> dict[str, Any]:
    return {"request_headers": {"header_name": header, "descriptor_key": key}}


def _without(header: str) -> dict[str, Any]:
    """An action for requests that do not have a header; others are not counted by what it is part of."""
    return {
        "header_value_match": {
            "descriptor_key": f"without {header}",
            "descriptor_value": "yes",
            "headers": [{"name": header, "present_match": True, "invert_match": True}],
        }
    }


_KEYS: dict[str, list[list[dict[str, Any]]]] = {
    "principal": [
        [_from_header(ISSUER_HEADER, "iss"), _from_header(SUBJECT_HEADER, "sub")],
        # Keys have no issuer.
        [_without(ISSUER_HEADER), _from_header(SUBJECT_HEADER, "sub")],
        [
            _without(SUBJECT_HEADER),
            {"masked_remote_address": {"v4_prefix_mask_len": 24, "v6_prefix_mask_len": 64}},
        ],
    ],
    "team": [[_from_header(TEAM_HEADER, "team")]],
    "route": [[{"generic_key": {"descriptor_key": "route", "descriptor_value": "all"}}]],
}
"""What requests are counted by, for each kind of limit."""


def _entry(action: dict[str, Any]) -> dict[str, str]:
    """The entry of a descriptor that an action makes; without a value it stands for every one, each counted alone."""
    ((kind, asked),) = action.items()
    if kind == "masked_remote_address":
        return {"key": kind}
    fixed = asked.get("descriptor_value")
    return {"key": asked["descriptor_key"], **({"value": fixed} if fixed else {})}


def _bucket(limit: RateLimit, gateways: int) -> dict[str, Any]:
    """The part of a limit that is one gateway's. What was not used of one interval is not saved up for the next.

    Of a shared limit it is all: another counts over the gateways, and this one holds while that is away.
    """
    mine = limit.requests if limit.shared else max(1, limit.requests // gateways)
    return {"max_tokens": mine, "tokens_per_fill": mine, "fill_interval": f"{limit.seconds}s"}


def _service(prefix: str) -> dict[str, Any]:
    return {
        "server_uri": {"uri": "http://gnomon", "cluster": ASK_CLUSTER, "timeout": ASK_TIMEOUT},
        "path_prefix": prefix,
    }


def _telling() -> dict[str, Any]:
    """The filter that tells the authorisation service what Envoy knows, in place of whatever a caller said."""
    mutations = [
        {
            "append": {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        }
        for name, value in TOLD.items()
    ]
    form = {"@type": f"{_FILTERS}.header_mutation.v3.HeaderMutation", "mutations": {"request_mutations": mutations}}
    return {"name": TELLING, "disabled": True, "typed_config": form}


def _ask(*, open_: bool) -> dict[str, Any]:
    headers = [*IDENTITY_HEADERS, *TOLD, "x-request-id", "x-purpose"]
    return {
        "@type": f"{_FILTERS}.ext_authz.v3.ExtAuthz",
        "allowed_headers": {"patterns": [{"exact": name} for name in headers]},
        "transport_api_version": "V3",
        "stat_prefix": "ask_open" if open_ else "ask_closed",
        "failure_mode_allow": open_,
        "http_service": _service("/"),
    }


def ask_cluster(socket: str) -> dict[str, Any]:
    """The cluster of the authorisation service, on a Unix socket beside Envoy."""
    return {
        "name": ASK_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": {
            "cluster_name": ASK_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
    }
