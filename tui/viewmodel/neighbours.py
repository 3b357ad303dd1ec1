"""What is around an endpoint in the inventory graph, as a tree that reads from outside in."""

from collections.abc import Sequence

from inventory.model import Endpoint, GatewayStatus
from tui.viewmodel import words
from tui.viewmodel.state import RouteState
from tui.viewmodel.text import Line, Run, Tone, clean, fit, line, plural

SHOWN = 8


def section(
    endpoint: Endpoint,
    beside: Sequence[Endpoint],
    route: RouteState | None,
    gateways: Sequence[GatewayStatus],
    width: int,
) -> list[Line]:
    """Its host and what else runs there, its owner, the ways that reach it, and the route with its gateways."""
    host = Run(clean(endpoint.address), Tone.STRONG)
    lines = [line(Run("site ", Tone.MUTED), clean(endpoint.site)),
             line(Run("└─ ", Tone.FAINT), Run("host ", Tone.MUTED), host)]  # fmt: skip
    family = [endpoint, *beside[:SHOWN]]
    for n, one in enumerate(family):
        last = n == len(family) - 1 and len(beside) <= SHOWN
        here = Run(" ◂ this", Tone.ACCENT) if n == 0 else Run("")
        lines.append(line(Run("   └─ " if last else "   ├─ ", Tone.FAINT), Run(f":{one.port} ", Tone.STRONG),
                          words.kind(one.kind), " ", *words.product(one), here))  # fmt: skip
        if n == 0:
            lines += [line(Run("   │    " if not last else "        ", Tone.FAINT), *each)
                      for each in _ways(endpoint, route, gateways)]  # fmt: skip
    if len(beside) > SHOWN:
        lines.append(line(Run(f"   └─ and {plural(len(beside) - SHOWN, 'more', 'more')}", Tone.FAINT)))
    return [fit(each, width) for each in lines]


def _ways(endpoint: Endpoint, route: RouteState | None, gateways: Sequence[GatewayStatus]) -> list[Line]:
    ways: list[Line] = []
    if endpoint.owner:
        ways.append(line(Run("owned by ", Tone.MUTED), clean(endpoint.owner, 120)))
    ways += [line(Run(f"reached by {each.via} ", Tone.MUTED), clean(each.url, 300)) for each in endpoint.exposures]
    if route is None or route.revision.spec is None:
        return [*ways, line(Run("no route leads to it", Tone.WARN))]
    served = [g.id for g in gateways if route.revision.route in g.revisions]
    share = next((b.weight for b in route.revision.spec.backends if b.endpoint == endpoint.id), 0)
    said = f"routed by {route.revision.route}, {share} % of its live requests"
    by = f", on gateway {', '.join(served)}" if served else ", on no gateway yet"
    return [*ways, line(Run(clean(said + by, 300), Tone.INFO))]
