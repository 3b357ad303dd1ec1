"""What a person writes as a target, turned into typed values. Pure: no name is resolved and nothing is sent."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network

LARGEST_IPV6_PREFIX = 112
"""IPv6 networks larger than this one (65,536 addresses) cannot be walked in any useful time.

Of those, whoever is on a link of this machine is scanned: ``scanner.onlink``.
"""

_IPV4_IN_IPV6 = IPv6Network("::ffff:0:0/96")
_SCHEME_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[^/]*)?(/.*)?")
_PREFIXED = re.compile(r"([A-Za-z][A-Za-z0-9+-]*):(?!//)(?![0-9]+$)(.*)")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FORMS = "a CIDR, an address, host:port, an http or https URL, or SOURCE:NAME such as k8s:CONTEXT"


class TargetError(ValueError):
    """A target that cannot be understood. Its text is one sentence that quotes the piece at fault."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """A network of one or more addresses. ``port`` None means the ports of the scope."""

    network: Network
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HostName:
    """A name that stands for addresses, in lower case. ``port`` None means the ports of the scope."""

    name: str
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A target of another source: ``k8s:prod`` has the prefix ``k8s`` and the rest ``prod``."""

    prefix: str
    rest: str


Target = Addresses | HostName | Prefixed


@dataclass(frozen=True, slots=True)
class Cluster:
    """A context of the kubeconfig, ``*`` for every one, and the namespaces to look at, none for all."""

    context: str
    namespaces: tuple[str, ...] = ()


def parse_target(text: str) -> Target:
    """The target that ``text`` names. Raises TargetError.

    A URL names its host and port; its path is no part of the target, because the questions start at
    the root. Digits after a single colon are a port, so ``k8s:8000`` is a host named k8s.
    """
    text = text.strip()
    if not text or any(character.isspace() or not character.isprintable() for character in text):
        raise TargetError(f"{text!r} is not a target: write {_FORMS}")
    if text.startswith("["):
        return _bracketed(text)
    if text.count(":") > 1 and _IPV6.fullmatch(text):
        return Addresses(parse_network(text))
    if prefixed := _PREFIXED.fullmatch(text):
        return Prefixed(prefixed[1].lower(), prefixed[2])
    if "://" in text:
        return _url(text)
    if "/" in text:
        if ":" in text.partition("/")[2]:
            raise TargetError(f"{text!r}: a network takes no port; the ports of a scan are an option of their own")
        return Addresses(parse_network(text))
    host, colon, port = text.rpartition(":")
    return _host(host, _port(port, text), text) if colon else _host(text, None, text)


def may_be_framed(text: str) -> bool:
    """Whether ``text`` may name addresses that frames reach: as far as can be told without resolving a name."""
    try:
        target = parse_target(text)
    except TargetError:
        return False
    return isinstance(target, HostName) or (isinstance(target, Addresses) and not target.network.is_loopback)


def parse_cluster(rest: str) -> Cluster:
    """The cluster that the rest of ``k8s:CONTEXT#NAMESPACE,NAMESPACE`` names. Raises TargetError.

    A context may hold colons and slashes, as those of some clouds do, but no ``#``.
    """
    context, mark, names = rest.partition("#")
    namespaces = tuple(names.split(",")) if mark else ()
    if not context:
        raise TargetError(f"'k8s:{rest}' names no cluster: write k8s:CONTEXT, k8s:in-cluster or k8s:*")
    for name in namespaces:
        if not _NAMESPACE.fullmatch(name):
            raise TargetError(f"'k8s:{rest}': {name!r} is not a namespace; write k8s:{context}#one,another")
    if namespaces and context == "*":
        raise TargetError(f"'k8s:{rest}': namespaces are of one cluster; name its context")
    return Cluster(context, namespaces)


def parse_network(text: str) -> Network:
    """The network that a CIDR or an address names, in its canonical form. Raises TargetError.

    IPv4 addresses that are written inside IPv6 (``::ffff:10.0.0.1``) become what they reach, IPv4:
    otherwise an exclusion or a missing authorisation could be walked around.
    """
    if "%" in text:
        raise TargetError(f"{text!r}: addresses with a zone cannot be scanned; leave out {_zone(text)!r}")
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise TargetError(f"{text!r} is not a CIDR such as 10.1.2.0/24: {error}") from error
    if _has_host_bits(text, network):
        raise TargetError(f"{text!r} has bits set after its prefix; write {network} or the address alone")
    if isinstance(network, IPv6Network):
        return _unwrapped(network)
    return network


def _unwrapped(network: IPv6Network) -> Network:
    if network.subnet_of(_IPV4_IN_IPV6):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def can_be_walked(network: Network) -> bool:
    """Whether a scan can go through all addresses of a network."""
    return network.version == 4 or network.prefixlen >= LARGEST_IPV6_PREFIX


def _has_host_bits(text: str, network: Network) -> bool:
    address = text.partition("/")[0]
    return ip_address(address) != network.network_address


def _zone(text: str) -> str:
    return "%" + text.partition("%")[2].partition("/")[0]


def _url(text: str) -> Target:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise TargetError(f"{text!r} is not a URL that can be used: {error}") from error
    if parts.scheme not in _SCHEME_PORTS:
        raise TargetError(f"'{parts.scheme}://…': only http and https URLs are targets")
    if parts.username is not None or parts.password is not None:
        raise TargetError(f"the URL of {host!r} holds a user or password: leave it out, gnomon sends none")
    if not host:
        raise TargetError(f"{text!r} names no host")
    if port == 0:
        raise TargetError(f"{text!r}: '0' is not a port from 1 to 65535")
    return _host(host, port or _SCHEME_PORTS[parts.scheme], text)


def _bracketed(text: str) -> Target:
    host, bracket, rest = text[1:].partition("]")
    if not bracket or not (rest == "" or rest.startswith(":")):
        raise TargetError(f"{text!r}: write an IPv6 address with a port as [2001:db8::1]:8000")
    if ":" not in host:
        raise TargetError(f"{text!r}: brackets are for IPv6 addresses, and {host!r} is none")
    return _host(host, _port(rest[1:], text) if rest else None, text)


def _host(host: str, port: int | None, text: str) -> Target:
    if ":" in host or "%" in host or _ends_in_number(host):
        try:
            ip_address(host.partition("%")[0])
        except ValueError as error:
            raise TargetError(f"{text!r}: {host!r} is not an address") from error
        return Addresses(parse_network(host), port)
    if re.fullmatch(r"[0-9.-]+", host):
        raise TargetError(f"{text!r}: ranges of addresses are written as CIDRs, such as 10.1.2.0/28")
    name = host.removesuffix(".").lower()
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise TargetError(f"{text!r}: {host!r} is neither an address nor a host name; write {_FORMS}")
    return HostName(name, port)


def _ends_in_number(host: str) -> bool:
    """Whether resolvers would read ``host`` as an IPv4 address, also in its old forms (``127.1``, ``0x7f000001``).

    Source: WHATWG URL Standard, "ends in a number checker". Only the dotted form of four is taken.
    """
    last = host.removesuffix(".").rpartition(".")[2]
    return re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", last) is not None


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise TargetError(f"{whole!r}: {text!r} is not a port from 1 to 65535")
    return int(text)
