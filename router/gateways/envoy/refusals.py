"""Pure: Envoy's words for a refusal become one sentence that names the field."""

import re

_LONGEST = 400
_RULES = "Proto constraint validation failed ("
_STEP = re.compile(r"^\w*ValidationError\.(?P<field>.+?): (?P<why>.*)$")
_CAUSED = " | caused by "


def words(error: str) -> str:
    """The path of the field and what is wrong with it, where Envoy says so; else what it says, cut.

    Envoy prints the whole message before what is wrong with it, and the way to the field as a chain of errors.
    """
    text = " ".join(error.split())
    _, rules, chain = text.rpartition(_RULES)
    if not rules:
        return text if len(text) <= _LONGEST else f"… {text[-_LONGEST:]}"
    path: list[str] = []
    why = ""
    for link in chain.removesuffix(")").split(_CAUSED):
        step = _STEP.match(link)
        if step is None:
            return chain[-_LONGEST:]
        path.append(_snake(step["field"]))
        why = step["why"]
    return f"{'.'.join(path)}: {why}"


def _snake(field: str) -> str:
    """``VirtualHosts[0]`` as it is written in a configuration: ``virtual_hosts[0]``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()
