"""A cluster in memory, made by the same makers as the servers of other tests, without any server."""

from datetime import datetime

from apiserver import ApiServerDouble
from making import NOW

from inventory.model import Standing
from scanner.cluster.resources import RESOURCES, Hole
from scanner.cluster.survey import Sighting, Survey
from scanner.cluster.world import World


def world_of(api: ApiServerDouble, *holes: Hole) -> World:
    world = World("c1")
    for (version, plural), items in api.objects.items():
        group = version.rpartition("/")[0]
        resource = next(one for one in RESOURCES if one.plural == plural and one.group == group)
        for item in items.values():
            world.put(resource, item)
    world.holes += holes
    return world


def survey(api: ApiServerDouble, *holes: Hole, answered=(), now: datetime = NOW) -> dict[tuple[str, int], Sighting]:
    found = Survey(world_of(api, *holes), now, answered).sightings()
    return {(one.workload.name, one.port): one for one in found}


def standing(api: ApiServerDouble, name: str, port: int = 8000, *holes: Hole) -> Standing:
    return survey(api, *holes)[name, port].declared.standing
