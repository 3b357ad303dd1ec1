"""A file that lists what is approved: CSV or YAML of one's own, an OpenAPI description, or a Backstage catalogue.

A row of one's own needs a ``name`` or a ``url``; it may have urls, owner, state (``active`` or ``retired``), model,
version, product, workload and image. A row that cannot be used is counted and said, with its line; the others count.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from inventory.model import Declaration, DeclarationState
from scanner.sources.reading import Context, SourceError, owner_in, source_of_declarations

MOST_BYTES = 64 * 1024 * 1024
_RETIRED = {"retired", "deprecated", "archived", "decommissioned", "inactive", "disabled"}
_METHODS = ("get", "post", "put", "patch", "delete")
_SERVICES = {"API", "Component", "Resource"}


def read(context: Context) -> Iterator[Declaration]:
    """Every entry of the file. Raises SourceError where it cannot be read at all."""
    path = Path(context.rest).expanduser()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"{context.source} is larger than {MOST_BYTES >> 20} MiB: split it")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        what = "the path of a CSV, YAML or JSON file"
        raise SourceError(f"{context.source} cannot be read: {reason}; write {what}") from error
    if path.suffix.lower() == ".csv":
        yield from _rows(context, ((f"line {number}", row) for number, row in _csv(text)))
        return
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise SourceError(f"{context.source} is neither YAML nor JSON{line}: mend the file") from error
    for number, document in enumerate(documents, 1):
        yield from _document(context, document, number)


def _csv(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text), restkey="", restval=None, skipinitialspace=True)
    ended = text.endswith(("\n", "\r"))
    for row in rows:
        last = rows.line_num == len(text.splitlines())
        # Half a file is a file of fewer rows, but for its end.
        cut = last and not ended and None in row.values()
        yield rows.line_num, {} if cut else {str(key).strip().lower(): value for key, value in row.items()}


def _document(context: Context, document: Any, number: int) -> Iterator[Declaration]:
    if isinstance(document, dict) and "paths" in document and ("openapi" in document or "swagger" in document):
        yield _openapi(context, document, str((document.get("info") or {}).get("title") or f"document {number}"))
    elif isinstance(document, dict) and str(document.get("apiVersion", "")).startswith("backstage.io/"):
        yield from _backstage(context, document)
    else:
        entries = document.get("endpoints", document) if isinstance(document, dict) else document
        if not isinstance(entries, list):
            context.shortfalls.append(f"{context.source}: document {number} is no list of endpoints")
            return
        yield from _rows(context, ((f"entry {place}", entry) for place, entry in enumerate(entries, 1)))


def _rows(context: Context, rows: Iterable[tuple[str, Any]]) -> Iterator[Declaration]:
    taken: set[str] = set()
    for where, written in rows:
        row = {"url": written} if isinstance(written, str) else written
        problem = _problem(row, taken)
        if problem:
            context.shortfalls.append(f"{context.source}: {where} {problem}")
            continue
        entry = {str(key).lower(): value for key, value in row.items() if value not in (None, "")}
        urls = _many(entry.get("urls")) + _many(entry.get("url"))
        name = str(entry.get("name") or urls[0])
        taken.add(name)
        yield context.declaration(
            name,
            name,
            urls=tuple(urls),
            state=_state(str(entry.get("state") or entry.get("status") or "active")),
            owner=owner_in(entry.items()),
            model=entry.get("model"),
            model_version=entry.get("version"),
            product=entry.get("product"),
            workload=entry.get("workload"),
            image=entry.get("image"),
        )


def _problem(row: Any, taken: set[str]) -> str | None:
    if not isinstance(row, Mapping):
        return "is no entry: write a mapping with a name or a url"
    entry = {str(key).lower(): value for key, value in row.items()}
    name = entry.get("name") or entry.get("url") or entry.get("urls")
    if not entry:
        return "is empty or cut off: mend the file, which may be half of it"
    if not name:
        return "has neither a name nor a url"
    return f"is named {name!r} like an entry before it" if str(name) in taken else None


def _many(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else str(value).split()


def _state(word: str) -> DeclarationState:
    return DeclarationState.RETIRED if word.strip().lower() in _RETIRED else DeclarationState.ACTIVE


def _openapi(context: Context, document: dict[str, Any], name: str) -> Declaration:
    servers = [one.get("url") for one in document.get("servers") or [] if isinstance(one, dict)]
    if document.get("host"):
        scheme = (document.get("schemes") or ["https"])[0]
        servers.append(f"{scheme}://{document['host']}{document.get('basePath') or ''}")
    paths = document["paths"] if isinstance(document["paths"], dict) else {}
    operations = [
        f"{method.upper()} {path}"
        for path, item in paths.items()
        if isinstance(item, dict)
        for method in _METHODS
        if method in item
    ]
    return context.declaration(
        name,
        name,
        urls=tuple(str(url) for url in servers if url and "://" in str(url)),
        operations=tuple(operations[:400]),
        owner=owner_in(((document.get("info") or {}).get("contact") or {"": None}).items())
        or ((document.get("info") or {}).get("contact") or {}).get("name"),
    )


def _backstage(context: Context, entity: dict[str, Any]) -> Iterator[Declaration]:
    if entity.get("kind") not in _SERVICES:
        return
    metadata, spec = entity.get("metadata") or {}, entity.get("spec") or {}
    name = f"{metadata.get('namespace', 'default')}/{metadata.get('name')}"
    owner, state = spec.get("owner"), _state(str(spec.get("lifecycle") or "active"))
    urls = tuple(str(one["url"]) for one in metadata.get("links") or [] if one.get("type") == "endpoint")
    described: Declaration | None = None
    if isinstance(spec.get("definition"), str):
        try:
            definition = yaml.safe_load(spec["definition"])
        except yaml.YAMLError:
            definition = None
            context.shortfalls.append(f"{context.source}: the definition of {name} is not YAML")
        if isinstance(definition, dict) and isinstance(definition.get("paths"), dict):
            described = _openapi(context, definition, name)
    yield context.declaration(
        f"{str(entity['kind']).lower()}:{name}",
        str(metadata.get("name")),
        urls=(*urls, *(described.urls if described else ())),
        operations=described.operations if described else (),
        owner=owner,
        state=state,
    )


prepare = source_of_declarations(read, files=True)
