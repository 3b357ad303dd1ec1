"""Which contexts there are in the kubeconfigs, read without the client, which takes a second to import."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scanner.apiserver import ClusterError


def kubeconfig() -> str:
    """Where kubeconfigs are looked for: KUBECONFIG, which may name several, else the usual file."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def contexts() -> tuple[str, ...]:
    """The names of the contexts in the kubeconfigs. Raises ClusterError where no file can be read."""
    found: dict[str, None] = {}
    for one in _files():
        for context in one.get("contexts") or ():
            if isinstance(context, dict) and isinstance(context.get("name"), str):
                found.setdefault(context["name"])
    return tuple(found)


def _files() -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    troubles: list[str] = []
    for name in filter(None, kubeconfig().split(os.pathsep)):
        try:
            said = yaml.safe_load(Path(name).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            troubles.append(f"{name}: {getattr(error, 'strerror', None) or 'it is no text'}")
        except yaml.YAMLError:
            # The parser's own words may quote a line with a credential in it.
            troubles.append(f"{name} is no YAML")
        else:
            found.append(said if isinstance(said, dict) else {})
    if not found:
        raise ClusterError(f"no kubeconfig can be read ({'; '.join(troubles)}): set KUBECONFIG")
    return found


def plugin_of(context: str) -> str | None:
    """The name of the credential plugin that a context's user has; None where it has none."""
    tables: dict[str, dict[str, Any]] = {"contexts": {}, "users": {}}
    for file in _files():
        for kind, known in tables.items():
            for entry in file.get(kind) or ():
                if isinstance(entry, dict):
                    known.setdefault(str(entry.get("name")), entry)
    user = (tables["contexts"].get(context, {}).get("context") or {}).get("user")
    said = (tables["users"].get(str(user), {}).get("user") or {}).get("exec")
    return Path(str(said.get("command"))).name if isinstance(said, dict) else None
