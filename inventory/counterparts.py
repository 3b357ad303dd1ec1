"""Which running endpoint is which declared thing: pure, explained, in tiers, and never by a guess alone.

A weak resemblance (a model's name in a path, the same operations) is a proposal for a person, not a match.
What a person confirmed or rejected wins over everything.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from ipaddress import ip_address
from urllib.parse import urlsplit

from inventory.model import Declaration, DeclarationKind, Endpoint, Ruling

SHORTEST_NAME = 4
"""Characters below which a model's name in a path is no sign of anything."""

FEWEST_INPUTS = 2
"""Inputs of a model below which their names are no sign of anything."""

MOST_ALIKE = 5
"""Endpoints that a weak resemblance may point at before it says nothing about any of them."""

_OUTSIDE = {"load-balancer", "node-port", "ingress", "gateway"}
_PORTS = {"http": 80, "https": 443, "grpc": 443}
_WORD = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")


class Tier(IntEnum):
    """How strongly two are held to be the same. What is no proof is only proposed."""

    OPERATIONS = 1
    IMAGE = 2
    INPUTS = 3
    MODEL_NAME = 4
    ARTIFACT = 5
    CERTIFICATE = 6
    PLACE = 7
    WORKLOAD = 8
    URL = 9
    CONFIRMED = 10

    @property
    def is_proof(self) -> bool:
        """Whether it makes a match."""
        return self >= Tier.ARTIFACT


@dataclass(frozen=True, slots=True)
class Match:
    """A declaration and an endpoint that are the same, or may be; ``why`` in words."""

    declaration: Declaration
    endpoint: Endpoint
    tier: Tier
    why: str


@dataclass(frozen=True)
class Matching:
    """Everything that was matched, and what was only proposed."""

    matches: tuple[Match, ...]
    proposals: tuple[Match, ...]

    @cached_property
    def of_endpoint(self) -> dict[str, list[Match]]:
        """The matches by the endpoint's id, the strongest first."""
        return _grouped(self.matches, lambda match: match.endpoint.id)

    @cached_property
    def of_declaration(self) -> dict[str, list[Match]]:
        """The matches by the declaration's id, the strongest first."""
        return _grouped(self.matches, lambda match: match.declaration.id)


def match(declarations: Iterable[Declaration], endpoints: Iterable[Endpoint], rulings: Iterable[Ruling]) -> Matching:
    """Match everything declared with everything known.

    The work is linear in both, and in the number of pairs that coincide in something.
    """
    index = _Index(endpoints)
    ruled: dict[str, list[Ruling]] = defaultdict(list)
    for ruling in rulings:
        ruled[f"{ruling.source} {ruling.key}"].append(ruling)
    matches: list[Match] = []
    proposals: list[Match] = []
    declared = list(declarations)
    for declaration in declared:
        best = _strongest(_resemblances(declaration, index))
        for ruling in ruled.get(declaration.id, ()):
            _overrule(best, declaration, ruling, index)
        proofs = [one for one in best.values() if one.tier.is_proof]
        matches += proofs
        if not proofs:
            proposals += best.values()
    served = _by_artifact(declared, matches, ruled)
    linked = {one.declaration.id for one in served}
    left = [one for one in proposals if one.declaration.id not in linked]
    return Matching((*matches, *served), tuple(left))


def _by_artifact(
    declarations: Sequence[Declaration], matches: Sequence[Match], ruled: Mapping[str, Sequence[Ruling]]
) -> list[Match]:
    """Models that no endpoint was matched to, by the URI that a matched declaration says it serves."""
    known = {one.declaration.id for one in matches}
    serving: dict[str, list[Match]] = defaultdict(list)
    for one in matches:
        if one.declaration.artifact and one.declaration.kind is not DeclarationKind.MODEL:
            serving[one.declaration.artifact.rstrip("/")].append(one)
    found: dict[tuple[str, str], Match] = {}
    for model in declarations:
        if model.kind is not DeclarationKind.MODEL or not model.artifact or model.id in known:
            continue
        rejected = {one.endpoint for one in ruled.get(model.id, ()) if one.verdict == "rejected"}
        for one in serving.get(model.artifact.rstrip("/"), ()):
            if one.endpoint.id not in rejected:
                why = f"{one.declaration.name} of {one.declaration.source}, which it is, serves {model.artifact}"
                found.setdefault((model.id, one.endpoint.id), Match(model, one.endpoint, Tier.ARTIFACT, why))
    return list(found.values())


@dataclass
class _Index:
    """The endpoints by everything that a declaration may name them by."""

    endpoints: Iterable[Endpoint]
    by_id: dict[str, Endpoint] = field(default_factory=dict)
    by_socket: dict[tuple[str, int], list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_name: dict[tuple[str, int], list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_word: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_operation: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_workload: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_uid: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_image: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))
    by_input: dict[str, list[Endpoint]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for endpoint in self.endpoints:
            self.by_id[endpoint.id] = endpoint
            sockets = {(endpoint.address, endpoint.port)}
            sockets |= {socket for one in endpoint.exposures if (socket := socket_of(one.url)) is not None}
            for socket in sockets:
                self.by_socket[socket].append(endpoint)
            for name in endpoint.certificate_names:
                self.by_name[name.lower(), endpoint.port].append(endpoint)
            if endpoint.cluster is not None:
                workload = endpoint.cluster.workload
                self.by_workload[f"{workload.namespace}/{workload.kind}/{workload.name}".lower()].append(endpoint)
                self.by_uid[workload.uid].append(endpoint)
                for image in endpoint.cluster.images:
                    self.by_image[image].append(endpoint)
            for word in _words(endpoint):
                self.by_word[word].append(endpoint)
            if endpoint.is_model_endpoint:
                for route in endpoint.inference_routes:
                    self.by_operation[f"{route.method} {route.path}"].append(endpoint)
                for name in {name for route in endpoint.inference_routes for name in route.takes}:
                    self.by_input[name].append(endpoint)

    def at(self, socket: tuple[str, int], site: str) -> Sequence[Endpoint]:
        """What a socket leads to, as seen from a site: a private address is another host in each.

        The ways into a cluster from outside are not addresses of its own network, and lead there from anywhere.
        """
        found = self.by_socket.get(socket, ())
        if not found or all(one.site == site for one in found) or not _is_private(socket[0]):
            return found
        return [one for one in found if one.site == site or socket in _from_outside(one)]

    def elsewhere(self, socket: tuple[str, int], site: str) -> Sequence[Endpoint]:
        """What has the same address and port in another site, where that is few."""
        here = {one.id for one in self.at(socket, site)}
        found = [one for one in self.by_socket.get(socket, ()) if one.id not in here]
        return found if len(found) <= MOST_ALIKE else ()


def socket_of(url: str) -> tuple[str, int] | None:
    """The host, in lower case, and the port that a URL (or ``host:port``) names; None where it names none."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


def _from_outside(endpoint: Endpoint) -> set[tuple[str, int] | None]:
    return {socket_of(one.url) for one in endpoint.exposures if one.via in _OUTSIDE}


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _path_of(url: str) -> str:
    return (urlsplit(url).path if "://" in url else "") or "/"


def _resemblances(declaration: Declaration, index: _Index) -> Iterator[Match]:
    def all_of(found: Iterable[Endpoint], tier: Tier, why: str) -> Iterator[Match]:
        return (Match(declaration, endpoint, tier, why) for endpoint in found)

    said = "it leads to" if declaration.kind is DeclarationKind.ROUTE else "it is declared at"
    for url in declaration.running:
        socket = socket_of(url)
        if socket is None:
            continue
        path = _path_of(url)
        yield from all_of(_under(index.at(socket, declaration.site), path), Tier.URL, f"{said} {url}")
        there = _under(index.elsewhere(socket, declaration.site), path)
        yield from all_of(there, Tier.OPERATIONS, f"{said} {url}, and it has that address in another site")
        host, port = socket
        by_certificate = _under(index.by_name.get(socket, ()), path)
        yield from all_of(by_certificate, Tier.CERTIFICATE, f"{said} {url}, and its certificate is for {host}")
        wild = "*." + host.partition(".")[2]
        yield from all_of(
            _under(index.by_name.get((wild, port), ()), path)[:1] if not by_certificate else (),
            Tier.OPERATIONS,
            f"{said} {url}, and its certificate is for {wild}",
        )
    for place in declaration.places:
        path = _path_of(declaration.running[0]) if len(declaration.running) == 1 else "/"
        found = _under(index.at(socket_of(place) or ("", 0), declaration.site), path)
        yield from all_of(found, Tier.PLACE, f"the name that it is declared by stands for {place}")
    if declaration.workload:
        found = index.by_workload.get(declaration.workload.lower(), ())
        yield from all_of(found, Tier.WORKLOAD, f"it is declared as the workload {declaration.workload}")
    for uid in declaration.workload_uids:
        yield from all_of(index.by_uid.get(uid, ()), Tier.WORKLOAD, "its cluster says that it runs for it")
    yield from _weak(declaration, index)


def _weak(declaration: Declaration, index: _Index) -> Iterator[Match]:
    """What only resembles: said where it points at few."""
    if declaration.model and len(declaration.model) >= SHORTEST_NAME:
        found = index.by_word.get(declaration.model.lower(), [])
        if 0 < len(found) <= MOST_ALIKE:
            why = f"the name of the model {declaration.model!r} is in what it says of itself"
            yield from (Match(declaration, endpoint, Tier.MODEL_NAME, why) for endpoint in found)
    running = index.by_image.get(declaration.image or "", [])
    if len(running) <= MOST_ALIKE:
        why = f"it runs the image {declaration.image}"
        yield from (Match(declaration, endpoint, Tier.IMAGE, why) for endpoint in running)
    if len(declaration.inputs) >= FEWEST_INPUTS:
        lists = [index.by_input.get(name, []) for name in declaration.inputs]
        fewest = min(lists, key=len)
        taking = [one for one in fewest if _takes(one, set(declaration.inputs))] if len(fewest) <= MOST_ALIKE else []
        why = f"it takes what the model is declared to take: {', '.join(declaration.inputs[:4])}"
        yield from (Match(declaration, endpoint, Tier.INPUTS, why) for endpoint in taking)
    if declaration.operations:
        lists = [index.by_operation.get(operation, []) for operation in declaration.operations]
        shared = {one.id: one for found in lists if len(found) <= MOST_ALIKE for one in found}
        wanted = set(declaration.operations)
        for endpoint in shared.values():
            if {f"{route.method} {route.path}" for route in endpoint.inference_routes} <= wanted:
                yield Match(declaration, endpoint, Tier.OPERATIONS, "it answers on the operations that are described")


def _takes(endpoint: Endpoint, inputs: set[str]) -> bool:
    """Whether one of its routes takes all of them."""
    return any(inputs <= set(route.takes) for route in endpoint.inference_routes)


def _words(endpoint: Endpoint) -> set[str]:
    """The names in what an endpoint says of itself: its base path, its routes and its title."""
    texts = [endpoint.base_path, endpoint.title or "", *(route.path for route in endpoint.inference_routes)]
    return {word for text in texts for word in _WORD.findall(text.lower()) if len(word) >= SHORTEST_NAME}


def _under(endpoints: Sequence[Endpoint], path: str) -> Sequence[Endpoint]:
    """The applications of one socket that a path leads to: those with the longest base path of its own.

    A path above all of them, such as ``/``, names them all.
    """
    leading = [one for one in endpoints if _leads(one.base_path, path)]
    if leading:
        longest = max(len(one.base_path.rstrip("/")) for one in leading)
        return [one for one in leading if len(one.base_path.rstrip("/")) == longest]
    return [one for one in endpoints if _leads(path, one.base_path)]


def _leads(base: str, path: str) -> bool:
    base = base.rstrip("/")
    return path.rstrip("/") == base or path.startswith(f"{base}/")


def _strongest(found: Iterable[Match]) -> dict[str, Match]:
    best: dict[str, Match] = {}
    for one in found:
        known = best.get(one.endpoint.id)
        if known is None or one.tier > known.tier:
            best[one.endpoint.id] = one
    return best


def _overrule(best: dict[str, Match], declaration: Declaration, ruling: Ruling, index: _Index) -> None:
    endpoint = index.by_id.get(ruling.endpoint)
    if ruling.verdict == "rejected":
        best.pop(ruling.endpoint, None)
    elif endpoint is not None:
        why = f"{ruling.who} confirmed it on {ruling.at:%Y-%m-%d}: {ruling.why}"
        best[endpoint.id] = Match(declaration, endpoint, Tier.CONFIRMED, why)


def _grouped(matches: Iterable[Match], key: Callable[[Match], str]) -> dict[str, list[Match]]:
    grouped: dict[str, list[Match]] = defaultdict(list)
    for one in sorted(matches, key=lambda match: -match.tier):
        grouped[key(one)].append(one)
    return dict(grouped)
