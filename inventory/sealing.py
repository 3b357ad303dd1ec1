"""Which direct paths an endpoint has, and what trials of them prove: pure.

Silence alone proves nothing: a trial counts only beside a control, the same question through the gateway, which shows
that the vantage has a network and the endpoint lives; and only from a vantage that is not the gateway's own machine,
which has to get through.
"""

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from inventory.model import Control, Direct, Endpoint, Path, Scheme, Tried, Verdict

_USUAL = {"http": 80, "https": 443}


class Judgement(NamedTuple):
    """A verdict, and one sentence that says why."""

    verdict: Verdict
    reason: str


def direct_paths(endpoint: Endpoint, gateways: Collection[tuple[str, int]]) -> tuple[Path, ...]:
    """Every way to an endpoint that is not a gateway's own: where it listens, listened, and is exposed.

    ``gateways`` are addresses and ports of gateways: what leads through them is no way around.
    """
    tls = endpoint.scheme in {Scheme.HTTPS, Scheme.TLS}
    found: dict[tuple[str, int, str | None], Path] = {}
    listeners = [(endpoint.address, endpoint.port), *((one.address, one.port) for one in endpoint.places)]
    for address, port in listeners:
        found[address, port, None] = Path(via="address", host=address, port=port, tls=tls)
    for exposure in endpoint.exposures:
        parts = urlsplit(exposure.url)
        port = parts.port or _USUAL.get(parts.scheme, 0)
        if not parts.hostname or not port:
            continue
        name = None if _is_address(parts.hostname) else parts.hostname
        path = Path(via=exposure.via, host=parts.hostname, port=port, tls=parts.scheme == "https", name=name)
        found.setdefault((path.host, port, name), path)
    return tuple(path for path in found.values() if (path.host, path.port) not in gateways)


def judge(tried: Sequence[Tried], control: Control | None, gateways: Collection[str]) -> Judgement:
    """What the trials of one endpoint come to. ``gateways`` are the addresses of machines that gateways run on.

    A path that answered is a bypass wherever it was tried from, except from a gateway's machine.
    """
    inside = [one for one in tried if one.source in gateways]
    outside = [one for one in tried if one.source not in gateways]
    open_ = [one for one in outside if one.did is Direct.OPEN]
    if open_:
        return Judgement(Verdict.BYPASS, f"{_listed(open_)} from {open_[0].source or 'here'} without the gateway")
    if inside:
        words = f"a gateway runs on {inside[0].source}, whose own way must stay open: try from another machine"
        return Judgement(Verdict.UNPROVED, words)
    if not tried:
        return Judgement(Verdict.UNPROVED, "no direct path of it is known, so none could be tried")
    if control is None:
        return Judgement(Verdict.UNPROVED, "no gateway that serves its route is known, so nothing shows that it lives")
    if not control.holds:
        got = f"answered {control.status}" if control.status else control.words
        words = f"the gateway at {control.address} {got} for {control.host}: what is shut and what is dead look alike"
        return Judgement(Verdict.UNPROVED, words)
    unknown = [one for one in tried if not one.did.is_shut]
    if unknown:
        return Judgement(Verdict.UNPROVED, f"{unknown[0].path} {unknown[0].words}")
    ways = "its direct path is" if len(tried) == 1 else f"all {len(tried)} direct paths are"
    return Judgement(Verdict.SEALED, f"{ways} shut, while the gateway answers {control.status} for {control.host}")


def _listed(found: Iterable[Tried]) -> str:
    return ", ".join(f"{one.path} {one.words}" for one in found)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
