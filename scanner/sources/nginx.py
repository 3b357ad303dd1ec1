"""nginx: what its configuration files pass on, read by crossplane, NGINX's own parser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inventory.model import Declaration, DeclarationKind
from scanner.sources.reading import Context, SourceError, source_of_declarations

_PASSES = {"proxy_pass": "http", "grpc_pass": "grpc", "uwsgi_pass": "uwsgi", "fastcgi_pass": "fastcgi"}
Block = list[dict[str, Any]]


def read(context: Context) -> Iterator[Declaration]:
    """Every location that is passed on. What cannot be parsed is said, with its line; the rest counts."""
    import crossplane

    path = Path(context.rest).expanduser()
    if not path.is_file():
        raise SourceError(f"{context.source} cannot be read: there is no such file; write the main configuration file")
    parsed = crossplane.parse(str(path), combine=True, catch_errors=True, check_ctx=False, check_args=False)
    for error in parsed["errors"]:
        context.shortfalls.append(f"{context.source}: {error['error']}: mend the file")
    block: Block = [one for config in parsed["config"] for one in config["parsed"]]
    http = [inner for one in block if one["directive"] == "http" for inner in one.get("block", ())] or block
    upstreams = {
        one["args"][0]: [inner["args"][0] for inner in one.get("block", ()) if inner["directive"] == "server"]
        for one in http
        if one["directive"] == "upstream" and one["args"]
    }
    for number, server in enumerate(one for one in http if one["directive"] == "server"):
        yield from _server(context, server.get("block", []), upstreams, number)


def _server(context: Context, block: Block, upstreams: dict[str, list[str]], number: int) -> Iterator[Declaration]:
    names = [name for one in block if one["directive"] == "server_name" for name in one["args"]]
    listens = [one["args"] for one in block if one["directive"] == "listen" and one["args"]] or [["80"]]
    fronts = list(dict.fromkeys(_front(name, args) for name in names or ["_"] for args in listens))
    for path, passed in _passes(block, "/"):
        backends = _backends(passed, upstreams)
        if not backends:
            context.shortfalls.append(f"{context.source}: where {passed!r} leads is decided at run time")
            continue
        yield context.declaration(
            f"{(names or ['_'])[0]}:{_port(listens[0])}{path}#{number}",
            f"{(names or ['any host'])[0]}{path if path != '/' else ''}",
            kind=DeclarationKind.ROUTE,
            urls=tuple(f"{front}{path}" for front in fronts if front),
            backends=tuple(backends),
        )


def _passes(block: Block, path: str) -> Iterator[tuple[str, str]]:
    for one in block:
        if one["directive"] in _PASSES and one["args"]:
            target = one["args"][0]
            yield path, target if "://" in target else f"{_PASSES[one['directive']]}://{target}"
        elif one["directive"] == "location" and one["args"]:
            yield from _passes(one.get("block", []), _path_of(one["args"]))
        elif one["directive"] in {"if", "limit_except"}:
            yield from _passes(one.get("block", []), path)


def _path_of(args: list[str]) -> str:
    """The path of a location; of a regular expression the part before its first special character."""
    if args[0] in {"~", "~*"}:
        text = args[-1].lstrip("^")
        end = next((at for at, character in enumerate(text) if character in "\\.[](){}*+?|$^"), len(text))
        return text[:end] or "/"
    return args[-1] if args[-1].startswith("/") else "/"


def _backends(passed: str, upstreams: dict[str, list[str]]) -> list[str]:
    if "$" in passed:
        return []
    parts = urlsplit(passed)
    scheme = {"grpcs": "https", "grpc": "http", "uwsgi": "http", "fastcgi": "http"}.get(parts.scheme, parts.scheme)
    if parts.netloc in upstreams:
        sockets = [one if ":" in one else f"{one}:80" for one in upstreams[parts.netloc] if not one.startswith("unix:")]
        return [f"{scheme}://{socket}{parts.path}" for socket in sockets]
    return [f"{scheme}://{parts.netloc}{parts.path}"] if parts.netloc and not parts.netloc.startswith("unix") else []


def _port(args: list[str]) -> str:
    last = args[0].rpartition(":")[2]
    return last if last.isdigit() else "80"


def _front(name: str, args: list[str]) -> str:
    """Where callers reach a server; nothing where it answers to every name."""
    if name in {"_", ""} or name.startswith("~"):
        host = args[0].rpartition(":")[0]
        name = host if host and host not in {"*", "0.0.0.0", "[::]"} else ""  # noqa: S104 - compared, not bound
    scheme = "https" if "ssl" in args[1:] else "http"
    return f"{scheme}://{name}:{_port(args)}" if name else ""


prepare = source_of_declarations(read, files=True)
