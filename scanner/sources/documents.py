"""A document that is either a file or what an HTTP interface answers: YAML or JSON."""

from pathlib import Path
from typing import Any

import yaml

from scanner.io.api import Api, ApiError
from scanner.sources.reading import Context, SourceError

MOST_BYTES = 256 * 1024 * 1024


def load(context: Context, path: str, *, what: str) -> Any:
    """The document of a target: from a URL the answer to ``path``, else the file. Raises SourceError.

    ``what`` is what a person should have written after the prefix.
    """
    if context.rest.startswith(("http://", "https://")):
        api = open_api(context)
        try:
            return api.get(path)
        except ApiError as error:
            raise SourceError(f"{context.source} was not read: {error}; write {what}") from error
        finally:
            context.requests += api.calls
    return load_file(context, what)


def open_api(context: Context, headers: dict[str, str] | None = None, base: str | None = None) -> Api:
    """The interface at a target's URL, or at another ``base``. Raises SourceError."""
    try:
        return Api(base or context.rest, headers, allow_public=context.scope.allow_public)
    except ApiError as error:
        raise SourceError(f"{context.source}: {error}") from error


def load_file(context: Context, what: str) -> Any:
    """The document in a target's file. Raises SourceError."""
    text = read_text(context, what)
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"{context.source} is neither YAML nor JSON: write {what}") from error


def read_text(context: Context, what: str) -> str:
    """The text of a target's file. Raises SourceError."""
    path = Path(context.rest).expanduser()
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"{context.source} is larger than {MOST_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SourceError(f"{context.source} cannot be read: {reason}; write {what}") from error
