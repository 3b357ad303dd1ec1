"""HAProxy: which frontends lead to which servers, from its configuration file.

Sections and keywords: HAProxy Configuration Manual 2.8, sections 2.1 and 4.2.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from inventory.model import Declaration, DeclarationKind
from scanner.sources.documents import read_text
from scanner.sources.reading import Context, source_of_declarations

_SECTIONS = {
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "program",
    "cache",
}
_HOST_ACL = re.compile(r"hdr(?:_dom|_beg|_end)?\(host\)|req\.hdr\(host\)|ssl_fc_sni", re.IGNORECASE)
_PATH_ACL = re.compile(r"path(?:_beg|_dir)?$", re.IGNORECASE)


@dataclass
class _Section:
    kind: str
    name: str
    binds: list[tuple[str, bool]] = field(default_factory=list)
    servers: list[tuple[str, bool]] = field(default_factory=list)
    hosts: dict[str, list[str]] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    uses: list[tuple[str, list[str]]] = field(default_factory=list)
    default: str | None = None


def read(context: Context) -> Iterator[Declaration]:
    """Every way from a frontend to a backend with servers."""
    sections = _sections(context, read_text(context, "the configuration file"))
    backends = {one.name: one for one in sections if one.servers}
    for front in (one for one in sections if one.binds):
        ways = [*front.uses, *([(front.default, [])] if front.default else [])]
        if front.servers:
            ways.append((front.name, []))
        for number, (name, conditions) in enumerate(ways):
            if name not in backends:
                context.shortfalls.append(f"{context.source}: frontend {front.name} uses {name!r}, which has no server")
                continue
            yield context.declaration(
                f"{front.name}/{name}/{number}",
                f"{front.name} to {name}",
                kind=DeclarationKind.ROUTE,
                urls=tuple(_urls(front, conditions)),
                backends=tuple(f"{'https' if tls else 'http'}://{address}" for address, tls in backends[name].servers),
            )


def _sections(context: Context, text: str) -> list[_Section]:
    sections: list[_Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            context.shortfalls.append(f"{context.source}: line {number} cannot be read")
            continue
        if not words:
            continue
        if words[0] in _SECTIONS:
            sections.append(_Section(words[0], words[1] if len(words) > 1 else ""))
        elif sections:
            _take(sections[-1], words)
    return sections


def _take(section: _Section, words: list[str]) -> None:
    keyword, arguments = words[0], words[1:]
    if keyword == "bind" and arguments:
        section.binds += [(one, "ssl" in arguments) for one in arguments[0].split(",")]
    elif keyword == "server" and len(arguments) > 1 and not arguments[1].startswith(("unix@", "/")):
        section.servers.append((arguments[1].removeprefix("ipv4@"), "ssl" in arguments[2:]))
    elif keyword == "acl" and len(arguments) > 1:
        values = [one for one in arguments[2:] if not one.startswith("-")]
        if _HOST_ACL.match(arguments[1]):
            section.hosts.setdefault(arguments[0], []).extend(values)
        elif _PATH_ACL.match(arguments[1]):
            section.paths.setdefault(arguments[0], []).extend(values)
    elif keyword == "use_backend" and arguments:
        section.uses.append((arguments[0], arguments[2:] if len(arguments) > 1 else []))
    elif keyword == "default_backend" and arguments:
        section.default = arguments[0]


def _urls(front: _Section, conditions: list[str]) -> Iterator[str]:
    hosts = [host for name in conditions for host in front.hosts.get(name, ())]
    paths = [path for name in conditions for path in front.paths.get(name, ())] or ["/"]
    for bind, tls in front.binds:
        address, _, port = bind.rpartition(":")
        for host in hosts or ([address] if address not in {"", "*", "0.0.0.0"} else []):  # noqa: S104 - compared
            for path in paths:
                yield f"{'https' if tls else 'http'}://{host}:{port}{path}"


prepare = source_of_declarations(read, files=True)
