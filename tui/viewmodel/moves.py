"""Moves of a route: what the forms read from a person, and the preview of what each will do. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from inventory.model import Endpoint, GatewayStatus, Path, Revision, Rollout, RouteSpec, Verdict
from router import desired
from router.observed import Observed
from router.plan import Step, reconcile
from tui.viewmodel import routes, triage, words
from tui.viewmodel.text import Line, Run, Tone, capped, clean, line, wrap

_STEPS = {Step.WARM: Run("◌ warm     ", Tone.INFO), Step.SERVE: Run("● serve    ", Tone.GOOD),
          Step.WITHDRAW: Run("○ withdraw ", Tone.WARN), Step.RETIRE: Run("□ retire   ", Tone.MUTED)}  # fmt: skip
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def reason(values: Mapping[str, str]) -> str:
    """The reason that was typed. Raises ValueError for none."""
    return triage.reason(values["why"])


def typed(name: str, values: Mapping[str, str]) -> None:
    """Raises ValueError until the route's name was typed."""
    if values["name"].strip() != name:
        raise ValueError(f"type the route's name, {name}, to move its live requests")


def release(name: str, values: Mapping[str, str]) -> str:
    """The reason for a release. Raises ValueError until the route's name was typed as well."""
    typed(name, values)
    return reason(values)


def name_for(endpoint: Endpoint, taken: Collection[str]) -> str:
    """A name to offer for an endpoint's route: product and port, then the address where that is taken."""
    product, address = endpoint.product or "app", endpoint.address
    for text in (f"{product}-{endpoint.port}", f"{product}-{address}-{endpoint.port}"):
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-")
        if name not in taken:
            return name
    return ""


def adoption(
    endpoint: Endpoint, values: Mapping[str, str], *, domain: str, taken: Collection[str]
) -> tuple[RouteSpec, str]:
    """The route and the reason from the form. Raises ValueError with what is wrong in it."""
    name, to, copied = values["name"].strip(), values["to"].strip(), values["shadow"].strip()
    if not _NAME.fullmatch(name):
        raise ValueError("a route's name is of lower-case letters, digits and inner hyphens, such as churn")
    if name in taken:
        raise ValueError(f"there is a route {name} already: choose another name")
    percent = share(copied) if copied else None
    path = values["path"].strip()
    spec = desired.adopt(endpoint, name=name, domain=domain, to=to or None, shadow_percent=percent, path=path)
    return spec, reason(values)


def share(text: str) -> float:
    """A share in percent. Raises ValueError for what is none."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError as error:
        raise ValueError(f"{clean(text, 40)} is not a share in percent such as 10") from error
    if not 0 <= value <= 100:
        raise ValueError("a share is from 0 to 100 percent")
    return value


def shifted(spec: RouteSpec, values: Mapping[str, str]) -> RouteSpec:
    """The route with the weights that were typed. Raises ValueError."""
    return desired.shift(spec, triage.weights(spec, {b.name: values[f"weight-{b.name}"] for b in spec.backends}))


def shadowed(spec: RouteSpec, values: Mapping[str, str]) -> RouteSpec:
    """The route with the shadow that was typed. Raises ValueError."""
    return changed(spec, desired.shadow(spec, values["backend"].strip(), share(values["percent"])))


def promoted(spec: RouteSpec, backend: str, values: Mapping[str, str]) -> RouteSpec:
    """The route with every live request at one backend. Raises ValueError."""
    del values
    return changed(spec, desired.shift(spec, {b.name: 100 if b.name == backend else 0 for b in spec.backends}))


def rolled_back(history: Sequence[Revision], values: Mapping[str, str]) -> RouteSpec:
    """The route as it was at the revision that was typed. Raises ValueError."""
    text = values["to"].strip().removeprefix("r")
    wanted = next((one for one in history if str(one.number) == text), None)
    if wanted is None or wanted.spec is None:
        raise ValueError(f"there is no revision {clean(text, 20) or '(none)'} to go back to: {numbers(history)}")
    return changed(history[0].spec, wanted.spec)


def changed(before: RouteSpec | None, after: RouteSpec) -> RouteSpec:
    """The route after a change. Raises ValueError where it is the one before."""
    if before == after:
        raise ValueError("that is what the route is now")
    return after


def numbers(history: Sequence[Revision]) -> str:
    """The revisions that one can go back to, the latest first."""
    found = [f"r{one.number}" for one in history[1:] if one.spec is not None]
    return ", ".join(found[:8]) + (" …" if len(found) > 8 else "")


def adopted(endpoint: Endpoint) -> list[Line]:
    """What an adoption is about."""
    return [line(*words.risk(endpoint.risk), "  ", *words.place(endpoint), "  ", words.kind(endpoint.kind),
                 "  ", words.posture(endpoint.posture))]  # fmt: skip


def present(spec: RouteSpec) -> list[Line]:
    """The split as it is."""
    return routes.preview(spec, {}, 60)[:1]


def adoption_plan(spec: RouteSpec, steps: Sequence[Line], port: int, endpoint: Endpoint, width: int) -> list[Line]:
    """What an adoption will do: the name that callers use, who answers, and what the gateways do."""
    calm = "Nothing changes for those who go on calling it directly."
    return capped(
        [
            line(Run("callers use ", Tone.MUTED), Run(f"http://{spec.hosts[0]}:{port}{spec.path}", Tone.STRONG)),
            line(Run("instead of  ", Tone.MUTED), clean(endpoint.url, 300)),
            *_backends(spec),
            *(line(Run(part, Tone.MUTED)) for part in wrap(calm, width)),
            *steps,
        ],
        width,
    )


def change_plan(before: RouteSpec, after: RouteSpec, steps: Sequence[Line], width: int) -> list[Line]:
    """What a change will do: the split now and then, what else differs, and what the gateways do."""
    names = {backend.name for backend in after.backends}
    same = names == {backend.name for backend in before.backends}
    split = routes.preview(before, {b.name: b.weight for b in after.backends}, width) if same else _backends(after)
    lines = [*split]
    if before.shadow != after.shadow:
        lines.append(line(Run("shadow  ", Tone.MUTED), _shadow(before), Run(" → ", Tone.FAINT), _shadow(after)))
    return capped([*lines, *steps], width)


def rollout_plan(
    after: Rollout, before: RouteSpec, shaped: RouteSpec | None, steps: Sequence[Line], width: int, now: datetime
) -> list[Line]:
    """What a change of a rollout comes to: its ladder then, and what becomes of the live split, if anything does."""
    ladder = routes.rollout(after, width, now)
    if shaped is None:
        return [*ladder, line(Run("the live split stays as it is", Tone.MUTED))]
    return [*ladder, *change_plan(before, shaped, steps, width)]


def released(spec: RouteSpec) -> list[Line]:
    """What a release is about."""
    return [line(Run(clean(", ".join(spec.names), 200), Tone.STRONG))]


def release_plan(spec: RouteSpec, width: int) -> list[Line]:
    """What a release will do."""
    said = f"callers of {', '.join(spec.names)} will get 404"
    return [line(Run("✗ ", Tone.BAD), Run(part, Tone.BAD)) for part in wrap(clean(said, 300), width - 2)]


SEALED: Final[Mapping[Verdict, tuple[str, Literal["information", "warning", "error"]]]] = {
    Verdict.SEALED: ("sealed", "information"),
    Verdict.BYPASS: ("not sealed", "error"),
    Verdict.UNPROVED: ("not shown to be sealed", "warning"),
}
"""What a verdict is called, and how loudly it is told."""


def sealing(paths: Mapping[str, Sequence[Path]]) -> list[Line]:
    """The direct paths of a route's endpoints that would be tried."""
    if not any(paths.values()):
        return [line(Run("No direct path is known: there is nothing to try.", Tone.FAINT))]
    return [line(Run(f"{path.via:13}", Tone.FAINT), Run(str(path))) for its in paths.values() for path in its]


def sealing_plan(paths: Mapping[str, Sequence[Path]], width: int) -> list[Line]:
    """What trying them will do."""
    count = sum(len(its) for its in paths.values())
    said = (
        f"One harmless request without credentials goes to each of {count} paths, and one to the gateway. What "
        "comes of it is kept: sealed where all are shut while the gateway answers, a bypass where one is open."
    )
    return [line(Run(part, Tone.INFO)) for part in wrap(said, width)]


def plan(spec: RouteSpec, revisions: Sequence[Revision], gateways: Sequence[GatewayStatus]) -> list[Line]:
    """What each gateway would do, in order, if that specification were desired; or that none is there."""
    if not gateways:
        return [line(Run("? no gateway has reported: it stays on record until one runs", Tone.WARN))]
    lines: list[Line] = []
    for gateway in gateways:
        has = {one.route: one for one in revisions if one.route in gateway.revisions}
        before = next((one for one in revisions if one.route == spec.name), None)
        number = before.number + (before.spec != spec) if before else 1
        if before and gateway.revisions.get(spec.name, 0) < before.number:
            # It serves an older revision, which is not at hand: what matters is that it is replaced.
            has[spec.name] = before.model_copy(update={"number": gateway.revisions.get(spec.name, 0) or 1})
        wanted = _candidate(spec, number, gateway)
        found = reconcile([*(one for name, one in has.items() if name != spec.name), wanted], Observed(routes=has))
        lines += [
            line(Run(f"{clean(gateway.id, 20)}  ", Tone.MUTED), _STEPS[action.step],
                 clean(action.backend.url if action.backend else f"{action.route} r{number}", 200))
            for action in found.actions
        ]  # fmt: skip
        lines += [line(Run(f"✗ {clean(gateway.id, 20)} will refuse it: {clean(why, 200)}", Tone.BAD))
                  for why in found.refused.values()]  # fmt: skip
    return lines


def pending(
    revision: Revision, revisions: Sequence[Revision], gateways: Sequence[GatewayStatus]
) -> dict[str, list[Line]]:
    """What each gateway still has to do for a route, by its id. Nothing where all have it."""
    behind = [g for g in gateways if g.revisions.get(revision.route, 0) < revision.number]
    return {g.id: plan(revision.spec, revisions, [g]) for g in behind if revision.spec}


def _candidate(spec: RouteSpec, number: int, gateway: GatewayStatus) -> Revision:
    return Revision(
        route=spec.name, number=number, spec=spec, at=gateway.heartbeat_at, who="preview", why="what is being typed"
    )


def _backends(spec: RouteSpec) -> list[Line]:
    shadow = spec.shadow
    return [
        line(Run(f"{backend.weight:>3} %  ", routes.side(i)), Run(f"{clean(backend.name)}  ", Tone.STRONG),
             clean(backend.url, 200),
             Run(f"  ◫ copies of {shadow.percent:g} %" if shadow and shadow.backend == backend.name else "", Tone.INFO))
        for i, backend in enumerate(spec.backends)
    ]  # fmt: skip


def _shadow(spec: RouteSpec) -> Run:
    return Run(f"{spec.shadow.percent:g} % to {spec.shadow.backend}" if spec.shadow else "off", Tone.INFO)
