"""What a user of a cluster may read, and what is hidden where it is not allowed.

The API server is asked by SelfSubjectAccessReviews, which every user may make and which change nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scanner.apiserver import Api, Unanswered
from scanner.cluster.objects import rows, table, text
from scanner.cluster.proxy import Through
from scanner.cluster.resources import RESOURCES, Resource
from scanner.together import together

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ASKING: tuple[tuple[Through, str], ...] = (
    ("services", "what answers behind Services, where pods can be asked neither directly nor by pods/proxy"),
    ("pods", "what answers in pods without a Service of their own, where pods cannot be reached directly"),
)
"""What the proxy leads to, and what is hidden where that is not allowed."""

_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that gnomon does: whether it is allowed, everywhere or in ``missing`` namespaces not.

    ``missing`` holds None for the whole cluster. ``served`` is False for a resource that the cluster does
    not have. ``hides`` says what is unknown without it.
    """

    what: str
    served: bool
    missing: tuple[str | None, ...]
    hides: str

    @property
    def allowed(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    def __str__(self) -> str:
        if not self.served:
            return "the cluster has no such resource, which hides nothing"
        if self.allowed:
            return "allowed"
        named = [name for name in self.missing if name]
        where = f" in {', '.join(named)}" if named else " for the whole cluster"
        return f"forbidden{where}, which hides {self.hides}"


async def permissions(api: Api, namespaces: Sequence[str] = (), *, proxy: bool = True) -> list[Permission]:
    """What may be listed and watched, and whether Services and pods may be asked by proxy. Raises Unanswered."""
    served = await _served(api)
    places: tuple[str | None, ...] = tuple(namespaces) or (None,)
    wanted = [one for one in RESOURCES if one.namespaced or not namespaces]
    found = await together(_reading(api, one, places, served) for one in wanted)
    for through, hides in ASKING if proxy else ():
        missing = await _missing(api, places, "get", "", through, "proxy")
        found = [*found, Permission(f"ask {through}/proxy", served=True, missing=missing, hides=hides)]
    return found


async def may_ask(api: Api, namespace: str, through: Through) -> bool:
    """Whether Services or pods of a namespace may be asked by proxy. Raises Unanswered."""
    return await _may(api, namespace, "get", "", through, "proxy")


async def _served(api: Api) -> set[str] | None:
    reply = await api.get("/apis", seconds=_PATIENCE)
    groups = reply.document.get("groups")
    return {text(one.get("name")) for one in rows(groups)} if isinstance(groups, list) else None


async def _reading(api: Api, resource: Resource, places: tuple[str | None, ...], served: set[str] | None) -> Permission:
    what = f"list and watch {resource.name}"
    if resource.group and not resource.built_in and served is not None and resource.group not in served:
        return Permission(what, served=False, missing=(), hides=resource.hides)
    where = places if resource.namespaced else (None,)
    answers = [await _missing(api, where, verb, resource.group, resource.plural) for verb in ("list", "watch")]
    missing = tuple(dict.fromkeys(place for answer in answers for place in answer))
    return Permission(what, served=True, missing=missing, hides=resource.hides)


async def _missing(
    api: Api, places: Iterable[str | None], verb: str, group: str, plural: str, subresource: str = ""
) -> tuple[str | None, ...]:
    return tuple([place for place in places if not await _may(api, place, verb, group, plural, subresource)])


async def _may(api: Api, place: str | None, verb: str, group: str, plural: str, subresource: str) -> bool:
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": place or ""}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    reply = await api.get(REVIEWS, method="POST", body=review, seconds=_PATIENCE)
    allowed = table(reply.document.get("status")).get("allowed")
    if reply.status not in {200, 201} or not isinstance(allowed, bool):
        raise Unanswered(f"it answers {reply.status} when it is asked what is allowed", status=reply.status)
    return allowed
