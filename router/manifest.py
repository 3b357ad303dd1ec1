"""Pure: routes as code. YAML becomes routes, routes become YAML, and what is between two states becomes edits.

``render`` writes what ``parse`` reads: ``parse(render(specs)) == specs``.
"""

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from inventory.model import Comparison, RouteSpec, Value
from router.errors import RouteError
from router.plan import Claims, claims_of
from router.shadow.rules import compile_rules

MOST_BYTES = 64 * 1024 * 1024
_KEYS = {"routes"}


class Edit(Value):
    """What becomes of one route. ``details`` names each field that changes, with its value before and after."""

    action: Literal["create", "change", "remove"]
    route: str
    details: tuple[str, ...] = ()
    before: RouteSpec | None = None
    after: RouteSpec | None = None


class _Loader(yaml.SafeLoader):
    """The safe loader, to which a key that is given twice is a mistake."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if isinstance(key, Hashable):
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str, source: str = "the file") -> tuple[RouteSpec, ...]:
    """The routes of a document. RouteError, with the source and the place, for one that cannot be read."""
    if len(text) > MOST_BYTES:
        raise RouteError(f"{source} is larger than {MOST_BYTES // 1024 // 1024} MiB")
    try:
        # A subclass of the safe loader makes no objects but plain ones.
        document = yaml.load(text, _Loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise RouteError(f"{source} is not YAML: {_where(error)}") from error
    if not isinstance(document, dict) or not isinstance(document.get("routes"), list):
        raise RouteError(f"{source} holds no list named routes: `gnomon export` shows the form")
    if unknown := sorted(str(key) for key in document.keys() - _KEYS):
        raise RouteError(f"{source}: {unknown[0]!r} is not known here; the document has one key, routes")
    specs = tuple(_spec(entry, number, source) for number, entry in enumerate(document["routes"], 1))
    check(specs, source)
    return specs


def render(specs: Iterable[RouteSpec]) -> str:
    """Routes as a document, by name. What has its default value is left out."""
    routes = [spec.model_dump(mode="json", exclude_defaults=True) for spec in sorted(specs, key=lambda one: one.name)]
    # In ASCII: YAML folds some letters that look harmless, such as U+0085, into line breaks.
    return yaml.safe_dump({"routes": routes}, sort_keys=False, width=120)


def check(specs: Iterable[RouteSpec], source: str = "the change") -> None:
    """RouteError where two of these routes have one name, or want one host or path."""
    names: set[str] = set()
    claims = Claims()
    for spec in specs:
        if spec.name in names:
            raise RouteError(f"{source} has two routes named {spec.name}")
        names.add(spec.name)
        for name in claims_of(spec):
            if why := claims.taken(name, spec.name):
                other, kind = claims.owner(name), "path" if spec.path else "host"
                if other is not None:
                    why = f"the routes {other} and {spec.name} both want the {kind} {name}"
                raise RouteError(f"{source}: {why}")
            claims.add(name, spec.name)


def difference(
    current: Mapping[str, RouteSpec], wanted: Iterable[RouteSpec], *, prune: bool = False
) -> tuple[Edit, ...]:
    """The edits that take one state to another, by name; equal states give none.

    Routes that ``wanted`` does not name stay as they are; with ``prune`` they go. RouteError where a host would
    belong to two routes.
    """
    listed = {spec.name: spec for spec in wanted}
    stay = {} if prune else {name: spec for name, spec in current.items() if name not in listed}
    check([*stay.values(), *listed.values()])
    edits = [_edit(current.get(name), spec) for name, spec in sorted(listed.items()) if current.get(name) != spec]
    if prune:
        gone = sorted(current.keys() - listed.keys())
        edits += [Edit(action="remove", route=name, before=current[name]) for name in gone]
    return tuple(edits)


def _edit(before: RouteSpec | None, after: RouteSpec) -> Edit:
    if before is None:
        where = ", ".join(f"{backend.name} {backend.weight} % {backend.url}" for backend in after.backends)
        return Edit(action="create", route=after.name, details=(where,), after=after)
    old, new = dict(_leaves(before)), dict(_leaves(after))
    details = tuple(
        f"{field}: {old.get(field, 'nothing')} → {new.get(field, 'nothing')}"
        for field in dict.fromkeys([*old, *new])
        if old.get(field) != new.get(field)
    )
    return Edit(action="change", route=after.name, details=details or ("order",), before=before, after=after)


def _leaves(spec: RouteSpec) -> Iterator[tuple[str, str]]:
    form = spec.model_dump(mode="json")
    form["backends"] = {backend["name"]: backend for backend in form["backends"]}
    if spec.descriptor:
        form["descriptor"] = f"sha256 {hashlib.sha256(spec.descriptor.encode()).hexdigest()[:16]}"
    yield from _flat(form, "")


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif value not in (None, "", [], {}):
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _spec(entry: Any, number: int, source: str) -> RouteSpec:
    name = entry.get("name") if isinstance(entry, dict) else None
    which = f"{source}: route {name or f'number {number}'}"
    try:
        spec = RouteSpec.model_validate(entry)
        _check_rules(spec)
    except RouteError as error:
        raise RouteError(f"{which}: {error}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"].removeprefix("Value error, ")
        raise RouteError(f"{which}: {f'{where}: ' if where else ''}{what}") from error
    return spec


def _check_rules(spec: RouteSpec) -> None:
    """RouteError where the answers of a route could not be compared as it says."""
    compile_rules(spec.comparison)
    if spec.samples is not None:
        compile_rules(Comparison(ignore=spec.samples.redact))
    if spec.descriptor:
        # Protobuf is for the routes that need it.
        from router.shadow.descriptor import unpack

        unpack(spec.descriptor)


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "it is nested too deeply"
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark is not None else str(what)
