"""The rules of a comparison as YAML that a person edits: out, and in again."""

import yaml
from pydantic import ValidationError

from inventory.model import Comparison
from router.errors import RouteError
from router.shadow.rules import compile_rules

_LONGEST = 1_000_000
_HEAD = """\
# When two answers agree. Paths are JSON paths: $.took_ms, $.items[*].score, $..id; status and content-type
# may be ignored too. A rule says how the numbers (relative, absolute), labels (top), probabilities (distance),
# embeddings (cosine) or texts (similarity) at its path are compared; size_ratio bounds the bodies' sizes.
"""


def write_rules(comparison: Comparison) -> str:
    """The rules in YAML, with what the keys mean."""
    shown = comparison.model_dump(mode="json", exclude_none=True)
    return _HEAD + yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)


def read_rules(text: str) -> Comparison:
    """The rules that a person wrote. RouteError with one sentence that names what cannot be used."""
    if len(text) > _LONGEST:
        raise RouteError("the rules are longer than a megabyte")
    try:
        given = yaml.safe_load(text)
        comparison = Comparison.model_validate({} if given is None else given)
        compile_rules(comparison)
    except (yaml.YAMLError, RecursionError) as error:
        raise RouteError(f"the rules are not YAML: {' '.join(str(error).split())[:200]}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        what = problem["msg"].removeprefix("Value error, ")
        raise RouteError(f"the rules: {where + ': ' if where else ''}{what}") from error
    return comparison
