"""Rules that shut direct paths to everyone but the gateway, as text for the tools that apply them. Pure.

gnomon changes no firewall and no cluster by itself: whoever may do so applies these, and a trial shows whether they
hold.
"""

import ipaddress
from collections.abc import Iterable, Sequence

import yaml

from inventory.model import Path

NAMESPACE = "namespace:"


class ClosingError(ValueError):
    """Rules that cannot be written. Its text says why, in one sentence."""


def sources_of(machines: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Whom to let in: the addresses of gateways' machines that others know them by, and what a person adds.

    That is networks, addresses and ``namespace:NAME``. Raises ClosingError.
    """
    found = {str(ipaddress.ip_network(one)) for one in machines if _crosses_a_network(one)}
    for text in more:
        if text.startswith(NAMESPACE) and len(text) > len(NAMESPACE):
            found.add(text)
            continue
        try:
            found.add(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            raise ClosingError(f"{text!r} is no network, no address and no namespace:NAME") from None
    if not found:
        raise ClosingError("no address of the gateway is known: give those it calls from by --from, or start it")
    return tuple(sorted(found))


def nftables(route: str, paths: Sequence[Path], sources: Sequence[str]) -> str:
    """A ruleset for each host, to be fed to ``nft -f -`` there.

    It stands before address translation, so that published ports of containers are shut as well, and lets the host
    talk to itself. Raises ClosingError.
    """
    networks = [ipaddress.ip_network(one) for one in sources if not one.startswith(NAMESPACE)]
    if not networks:
        raise ClosingError("nftables knows no namespaces: give the addresses of the gateway by --from")
    table = f"gnomon_{route.replace('-', '_')}"
    hosts: dict[str, set[int]] = {}
    for path in paths:
        if path.name is None:
            hosts.setdefault(path.host, set()).add(path.port)
    if not hosts:
        raise ClosingError("its direct paths are names, and a firewall wants addresses")
    written = []
    for host, ports in hosts.items():
        family = ipaddress.ip_address(host).version
        let_in = ", ".join(str(one) for one in networks if one.version == family)
        if not let_in:
            raise ClosingError(f"no IPv{family} address of the gateway is known for {host}: give it by --from")
        dports = f"tcp dport {{ {', '.join(map(str, sorted(ports)))} }}"
        word = "ip" if family == 4 else "ip6"
        written.append(
            f"# on {host}: nft -f -\n"
            f"table inet {table}\n"
            f"delete table inet {table}\n"
            f"table inet {table} {{\n"
            "  chain direct {\n"
            "    type filter hook prerouting priority mangle; policy accept;\n"
            '    iifname "lo" accept\n'
            f"    {dports} fib daddr type local {word} saddr != {{ {let_in} }} drop\n"
            "  }\n"
            "}\n"
        )
    return "\n".join(written)


def network_policy(route: str, namespace: str, selector: dict[str, str], ports: Sequence[int],
                   sources: Sequence[str]) -> str:  # fmt: skip
    """A NetworkPolicy that lets only the gateway reach some ports of the pods that a selector names.

    Kubernetes denies what no policy of a selected pod allows: what these pods serve on other ports needs a policy of
    its own. Raises ClosingError.
    """
    if not selector:
        raise ClosingError("name the pods by --selector, such as --selector app=iris")
    peers: list[dict[str, object]] = []
    for one in sources:
        if one.startswith(NAMESPACE):
            labels = {"kubernetes.io/metadata.name": one.removeprefix(NAMESPACE)}
            peers.append({"namespaceSelector": {"matchLabels": labels}})
        else:
            peers.append({"ipBlock": {"cidr": one}})
    document = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"gnomon-{route}", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": selector},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": peers, "ports": [{"protocol": "TCP", "port": port} for port in sorted(set(ports))]}],
        },
    }
    return yaml.safe_dump(document, sort_keys=False)


def _crosses_a_network(address: str) -> bool:
    numeric = ipaddress.ip_address(address)
    return not numeric.is_loopback and not numeric.is_link_local
