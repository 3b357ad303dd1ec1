"""Which endpoint does an observation belong to: pure, over the observations of one listener.

A listener may hold several applications, each under a base path. Facts about the door itself (it is
open, it showed a certificate, it was asked this) belong to every application behind it; facts about
an application name its base path.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable

from inventory.model import (
    Certificate,
    Declared,
    Ended,
    Exposed,
    Identified,
    Listener,
    Observation,
    Owned,
    Placed,
    Questioned,
    Reached,
    Workload,
)

ROOT = "/"


def endpoint_id(listener: Listener, base_path: str) -> str:
    """The name of an endpoint: stable over scans and databases, 80 bits of BLAKE2b in base32."""
    return _name(f"{listener.site}\n{listener.address}\n{listener.port}\n{base_path}")


def workload_endpoint_id(site: str, workload: Workload, port: int, base_path: str) -> str:
    """The name of an endpoint of a workload: stable however often its pods change their addresses."""
    return _name(f"{site}\n{workload.cluster}/{workload.uid}\n{port}\n{base_path}")


def _name(subject: str) -> str:
    digest = hashlib.blake2b(subject.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()


def is_about_the_door(observation: Observation) -> bool:
    """Whether a fact holds for every application behind the listener."""
    if isinstance(observation.fact, Owned):
        return observation.base_path == ROOT
    return isinstance(observation.fact, Exposed | Certificate | Questioned | Placed | Ended | Reached | Declared)


def applications(observations: Iterable[Observation]) -> dict[str, list[Observation]]:
    """The observations of one listener by the base path of the application that they tell of.

    Where nothing was identified there is one application, at the root. An inconclusive answer at the
    root stands only while nothing conclusive is known elsewhere on the listener. A scan that
    identified the listener conclusively, but not this application, is no sighting of it.
    """
    everything = list(observations)
    conclusive = _conclusive_paths(everything)
    paths = _base_paths(everything, conclusive)
    grouped: dict[str, list[Observation]] = {path: [] for path in paths}
    for observation in everything:
        if is_about_the_door(observation):
            identified = conclusive.get(observation.scan, set())
            for path in paths:
                if not identified or path in identified:
                    grouped[path].append(observation)
        elif observation.base_path in grouped:
            grouped[observation.base_path].append(observation)
    return {path: found for path, found in grouped.items() if found}


def _conclusive_paths(observations: list[Observation]) -> dict[str, set[str]]:
    """For each scan, the base paths that it identified to the end."""
    paths: dict[str, set[str]] = defaultdict(set)
    for observation in observations:
        if isinstance(observation.fact, Identified) and observation.fact.conclusive:
            paths[observation.scan].add(observation.base_path)
    return paths


def _base_paths(observations: list[Observation], conclusive: dict[str, set[str]]) -> set[str]:
    known = {o.base_path for o in observations if isinstance(o.fact, Identified)}
    certain: set[str] = set().union(*conclusive.values())
    if certain and ROOT not in certain:
        known.discard(ROOT)
    return known or {ROOT}
