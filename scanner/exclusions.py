"""Files of addresses that are never sent anything: one CIDR, address or host name a line, ``#`` begins a comment."""

from pathlib import Path

from scanner.targets import Prefixed, TargetError, parse_target

LARGEST = 16 << 20
"""Bytes of a file of exclusions. Whatever is larger is something else."""


def read_exclusions(path: Path) -> tuple[str, ...]:
    """The entries of a file, checked. Raises TargetError, because without them nothing may be scanned."""
    try:
        if path.stat().st_size > LARGEST:
            raise TargetError(f"the exclusions in {path} are not read: it has more than {LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"the exclusions in {path} cannot be read, so nothing is scanned: {error}") from error
    return parse_exclusions(text, str(path))


def parse_exclusions(text: str, name: str) -> tuple[str, ...]:
    """The entries of the text of a file of that name. Raises TargetError, which names the line at fault. Pure."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            target = parse_target(entry)
        except TargetError as error:
            raise TargetError(f"{name}, line {number}: {error}") from error
        if isinstance(target, Prefixed) or target.port is not None:
            raise TargetError(f"{name}, line {number}: {entry!r} is no CIDR, address or host name")
        entries.append(entry)
    return tuple(entries)
