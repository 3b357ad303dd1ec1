"""Descriptions of HTTP interfaces (OpenAPI 3, Swagger 2), read without trust: bounded, cyclic or wrong ones too.

Sources: OpenAPI Specification 3.1.0; Swagger 2.0 specification.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scanner.exchange import clean

MOST_OPERATIONS = 400
MOST_FIELDS = 64
_METHODS = ("get", "post", "put", "patch", "delete")
_KEY = re.compile(r"^(x-)?(api|access|auth|secret|subscription)?[-_]?(key|token)$|^authorization$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. ``path`` has its base path in front; ``takes`` and ``gives`` are field names with types.

    ``secured`` says that callers must show who they are, ``keyed`` that they may.
    """

    method: str
    path: str
    words: str
    takes: tuple[tuple[str, str], ...] = ()
    gives: tuple[tuple[str, str], ...] = ()
    media: tuple[str, ...] = ()
    secured: bool = False
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """A described interface. ``words`` is the title, description and tags, cleaned and bounded."""

    title: str
    version: str
    words: str
    operations: tuple[Operation, ...]
    declares_security: bool = False


def describe(document: Any, base: str = "") -> Description | None:
    """The description in a JSON document; None where it is none. ``base`` goes in front of every path.

    A base path that the document itself declares (``basePath``, a relative server URL) wins over
    ``base`` where the two agree up to the longer one.
    """
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        return None
    if not ("openapi" in document or "swagger" in document):
        return None
    info = _mapping(document.get("info"))
    declared = _declared_base(document)
    prefix = declared if declared.startswith(base) or not base else base
    operations: list[Operation] = []
    for path, item in document["paths"].items():
        if not isinstance(path, str) or not path.startswith("/") or len(path) > 300:
            continue
        for method in _METHODS:
            operation = _mapping(item).get(method)
            if isinstance(operation, dict) and len(operations) < MOST_OPERATIONS:
                full = path if prefix and path.startswith(prefix + "/") else prefix + path
                operations.append(_operation(document, method, full, operation))
    tags = [str(_mapping(tag).get("name", "")) + " " + str(_mapping(tag).get("description", ""))
            for tag in _sequence(document.get("tags"))[:20]]  # fmt: skip
    words = " ".join([str(info.get("title", "")), str(info.get("description", ""))[:2000], *tags])
    schemes = _mapping(_mapping(document.get("components")).get("securitySchemes"))
    return Description(
        title=clean(str(info.get("title", ""))),
        version=clean(str(info.get("version", "")), 40),
        words=clean(words, 1500),
        operations=tuple(operations),
        declares_security=bool(schemes or _mapping(document.get("securityDefinitions"))),
    )


def _declared_base(document: dict[str, Any]) -> str:
    base = document.get("basePath")
    if not isinstance(base, str):
        servers = _sequence(document.get("servers"))
        base = _mapping(servers[0]).get("url") if servers else ""
    if not isinstance(base, str) or len(base) > 200:
        return ""
    base = re.sub(r"^https?://[^/]+", "", base)
    return base.rstrip("/") if base.startswith("/") and "{" not in base else ""


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Operation:
    body = _resolve(document, operation.get("requestBody"))
    content = _mapping(body.get("content"))
    takes = [field for item in content.values() for field in _fields(document, _mapping(item).get("schema"))]
    takes += [(str(schema["title"])[:60], _type(document, schema)) for item in content.values()
              if (schema := _resolve(document, _mapping(item).get("schema"))).get("type") == "array"
              and "title" in schema]  # fmt: skip
    for entry in _sequence(operation.get("parameters"))[:MOST_FIELDS]:
        parameter = _resolve(document, entry)
        if parameter.get("in") in {"body", "formData"}:
            takes += list(_fields(document, parameter.get("schema") or parameter))
    responses = _mapping(operation.get("responses"))
    good = _resolve(document, next((responses[c] for c in ("200", "201", "default") if c in responses), None))
    gives = [field for item in _mapping(good.get("content")).values()
             for field in _fields(document, _mapping(item).get("schema"))]  # fmt: skip
    gives += list(_fields(document, good.get("schema")))
    named = [str(operation.get(key, ""))[:300] for key in ("summary", "description", "operationId")]
    named += [str(tag) for tag in _sequence(operation.get("tags"))[:8]]
    return Operation(
        method=method.upper(),
        path=path,
        words=clean(" ".join(named), 600),
        takes=tuple(takes[:MOST_FIELDS]),
        gives=tuple(gives[:MOST_FIELDS]),
        media=tuple(str(name).lower()[:80] for name in list(content)[:8]),
        secured=_is_secured(document, operation),
        keyed=any(_KEY.search(name) for name, _ in _credentials(document, operation)),
    )


def _is_secured(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    """Whether callers must show who they are.

    It is declared by a security requirement that none of its alternatives waives (an empty alternative makes it
    optional: OpenAPI 3.1, Security Requirement Object), a required parameter that carries a key, or a 401.
    """
    required = _sequence(operation.get("security", document.get("security")))
    if required and all(_mapping(alternative) for alternative in required):
        return True
    if any(required and _KEY.search(name) for name, required in _credentials(document, operation)):
        return True
    return "401" in _mapping(operation.get("responses"))


def _credentials(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """The parameters outside the path, which may carry a key: their names, and whether they are required."""
    for entry in _sequence(operation.get("parameters"))[:MOST_FIELDS]:
        parameter = _resolve(document, entry)
        if parameter.get("in") in {"header", "query", "cookie"}:
            yield str(parameter.get("name", ""))[:60], parameter.get("required") is True


def _fields(document: dict[str, Any], schema: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Names and types of a schema's fields, three levels deep, references followed within the document."""
    if depth > 3:
        return
    schema = _resolve(document, schema)
    for part in _sequence(schema.get("allOf"))[:8] + _sequence(schema.get("anyOf"))[:8]:
        yield from _fields(document, part, depth + 1)
    if schema.get("type") == "array":
        yield "[]", _type(document, schema)
        yield from _fields(document, schema.get("items"), depth + 1)
    for name, inner in list(_mapping(schema.get("properties")).items())[:MOST_FIELDS]:
        yield clean(str(name), 60), _type(document, inner)
        yield from _fields(document, inner, depth + 1)


def _type(document: dict[str, Any], schema: Any, depth: int = 0) -> str:
    schema = _resolve(document, schema)
    kind = str(schema.get("type", "any"))[:20]
    if schema.get("format") == "binary" or schema.get("contentMediaType"):
        return "binary"
    if kind == "array" and depth < 3:
        return f"array<{_type(document, schema.get('items'), depth + 1)}>"
    return kind


def _resolve(document: dict[str, Any], value: Any) -> dict[str, Any]:
    """The mapping that a value is or refers to, through at most eight references."""
    for _ in range(8):
        found = _mapping(value)
        reference = found.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return found
        target: Any = document
        for step in reference[2:].split("/")[:8]:
            target = _mapping(target).get(step.replace("~1", "/").replace("~0", "~"))
        value = target
    return {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
