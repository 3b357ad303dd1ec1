"""The schema that gnomon's Cedar policies are checked against, and what any schema says of attributes.

Callers are ``Principal``, in a ``Group`` for each word of their attribute ``groups``; routes are ``Route``; the one
action is ``call``. What the schema does not name can be asked for as a tag, a set of words.
"""

import re
from collections.abc import Mapping
from typing import Any

from inventory.model import Attribute

SCHEMA = """\
entity Group;

entity Principal in [Group] {
  department?: String,
  environment?: String,
  team?: String,
  owner?: String,
  issuer?: String,
  groups?: Set<String>,
  roles?: Set<String>,
  scopes?: Set<String>,
} tags Set<String>;

entity Route {
  department?: String,
  environment?: String,
  team?: String,
  owner?: String,
  data_class?: String,
  model?: String,
  labels?: Set<String>,
} tags Set<String>;

action call appliesTo {
  principal: [Principal],
  resource: [Route],
  context: {
    now: Long,
    hour: Long,
    weekday: Long,
    method?: String,
    path?: String,
    size?: Long,
    network?: ipaddr,
    purpose?: String,
  },
};
"""

_ENTITY = re.compile(r"^entity (Principal|Route)\b.*?= \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r'^  "?([a-z][a-z0-9_]*)"?\??: (String|Set<String>),?$', re.MULTILINE)

Types = Mapping[str, Mapping[str, str]]


def types_of(normal: str) -> Types:
    """The attributes of Principal and Route that are words or sets of words, by name.

    ``normal`` is a schema as Cedar itself writes it.
    """
    return {kind: dict(_ATTRIBUTE.findall(body)) for kind, body in _ENTITY.findall(normal)}


def entity_of(kind: str, name: str, attributes: Mapping[str, Attribute], declared: Mapping[str, str]) -> dict[str, Any]:
    """A caller or a route in Cedar's JSON entity format, each attribute with the type that the schema gives it."""
    sets = {key: [value] if isinstance(value, str) else list(value) for key, value in attributes.items()}
    typed: dict[str, str | list[str]] = {}
    for key, wanted in declared.items():
        if values := sets.get(key):
            typed[key] = values[0] if wanted == "String" else values
    groups = sets.get("groups", []) if kind == "Principal" else []
    return {
        "uid": {"type": kind, "id": name},
        "attrs": typed,
        "tags": sets,
        "parents": [{"type": "Group", "id": group} for group in dict.fromkeys(groups)],
    }


def ambiguous(attributes: Mapping[str, Attribute], declared: Mapping[str, str]) -> list[str]:
    """The attributes that have several values where the schema says one: which of them a policy would see is open."""
    return [
        name
        for name, value in attributes.items()
        if declared.get(name) == "String" and not isinstance(value, str) and len(value) > 1
    ]
