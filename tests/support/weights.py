"""A W&B server's GraphQL for tests: a part of its schema, run by the reference implementation of GraphQL.

Field names, arguments, nullability and unions are those that W&B's own client asks for and validates. A query of
ours that W&B would refuse is refused here.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, build_schema, graphql_sync, parse

SCHEMA = build_schema("""
scalar JSONString
enum ArtifactState { COMMITTED DELETED PENDING }
enum ArtifactCollectionType { PORTFOLIO SEQUENCE }
union Initiator = Run | User

type Query {
  viewer: User
  organization(name: String!): Organization
}
type Mutation { deleteArtifact(artifactID: ID!): Boolean }
type User { id: ID!  username: String }
type Run { id: ID!  name: String! }
type Organization { id: ID!  name: String!  orgEntity: Entity }
type Entity {
  id: ID!
  name: String!
  artifactCollections(projectFilters: JSONString, filters: JSONString, collectionTypes: [ArtifactCollectionType!],
    after: String, first: Int, order: String): ArtifactCollectionConnection
  artifactMemberships(projectFilters: JSONString, collectionFilters: JSONString, filters: JSONString,
    after: String, first: Int, order: String): ArtifactCollectionMembershipConnection
}
type PageInfo { endCursor: String  hasNextPage: Boolean! }
type Project { id: ID!  name: String!  entity: Entity! }
type ArtifactType { id: ID!  name: String! }
type Tag { id: ID!  name: String! }
type TagEdge { node: Tag! }
type TagConnection { edges: [TagEdge!]! }

interface ArtifactCollection {
  id: ID!
  name: String!
  project: Project
  defaultArtifactType: ArtifactType!
  tags: TagConnection!
}
type ArtifactPortfolio implements ArtifactCollection {
  id: ID!
  name: String!
  project: Project
  defaultArtifactType: ArtifactType!
  tags: TagConnection!
}
type ArtifactSequence implements ArtifactCollection {
  id: ID!
  name: String!
  project: Project
  defaultArtifactType: ArtifactType!
  tags: TagConnection!
}
type ArtifactCollectionEdge { node: ArtifactCollection }
type ArtifactCollectionConnection { totalCount: Int!  pageInfo: PageInfo!  edges: [ArtifactCollectionEdge!]! }

type ArtifactAlias { id: ID!  alias: String! }
type Artifact {
  id: ID!
  state: ArtifactState!
  metadata: JSONString
  versionIndex: Int
  artifactType: ArtifactType!
  tags: [Tag!]!
  artifactSequence: ArtifactSequence!
  createdBy: Initiator
}
type ArtifactCollectionMembership {
  id: ID!
  versionIndex: Int
  aliases: [ArtifactAlias!]!
  artifactCollection: ArtifactCollection
  artifact: Artifact
}
type ArtifactCollectionMembershipEdge { node: ArtifactCollectionMembership }
type ArtifactCollectionMembershipConnection { pageInfo: PageInfo!  edges: [ArtifactCollectionMembershipEdge!]! }
""")


@dataclass
class Weights:
    """What a server holds, by organisation, and who may ask. ``operations`` are the kinds of all that came in.

    ``collections`` and ``versions`` are nodes; None among them is one that is not shown. Nobody is known by a key
    other than ``key``. ``private_runs``: runs cannot be read, which is an error beside the data. ``page`` is how many
    nodes the server gives at most.
    """

    key: str = "k3y"
    page: int = 2
    collections: dict[str, list[Any]] = field(default_factory=dict)
    versions: dict[str, list[Any]] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    private_runs: bool = False

    def add(
        self, organisation: str, collection: str, index: int, *, kind: str = "model", registry: str = "model",
        metadata: Any = None, aliases: tuple[str, ...] = (), tags: tuple[str, ...] = (),
        collection_tags: tuple[str, ...] = (), state: str = "COMMITTED",
    ) -> None:  # fmt: skip
        """Link a version to a collection, which is made with its first one."""
        entity = {"id": "e", "name": f"{organisation}-org"}
        owner = {
            "__typename": "ArtifactPortfolio", "id": "c", "name": collection,
            "project": {"id": "p", "name": f"wandb-registry-{registry}", "entity": entity},
            "defaultArtifactType": {"id": "t", "name": kind}, "tags": {"edges": _nodes(collection_tags)},
        }  # fmt: skip
        places = [(one["project"]["name"], one["name"]) for one in self.collections.setdefault(organisation, []) if one]
        if (owner["project"]["name"], collection) not in places:
            self.collections[organisation].append(owner)
        source = {"id": "p", "name": "training", "entity": {"id": "e", "name": "team"}}
        artifact = {
            "id": "a", "state": state, "versionIndex": index + 10, "artifactType": owner["defaultArtifactType"],
            "metadata": metadata if metadata is None or isinstance(metadata, str) else json.dumps(metadata),
            "tags": [{"id": "t", "name": tag} for tag in tags], "createdBy": self._run,
            "artifactSequence": {"id": "s", "name": f"{collection}-run", "project": source},
        }  # fmt: skip
        self.versions.setdefault(organisation, []).append(
            {
                "id": "m", "versionIndex": index, "artifactCollection": owner, "artifact": artifact,
                "aliases": [{"id": "a", "alias": alias} for alias in aliases],
            }
        )  # fmt: skip

    def post(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, dict[str, str]]:
        """As W&B answers a POST: 401 for a wrong key, 400 for what is no valid query, 200 for what was run."""
        if path != "/graphql":
            return 404, {}, {}
        asked = json.loads(body)
        kinds = [one.operation.value for one in parse(asked["query"]).definitions if hasattr(one, "operation")]
        self.operations += kinds
        known = base64.b64encode(f"api:{self.key}".encode()).decode()
        if headers.get("authorization") != f"Basic {known}":
            return 401, {"errors": [{"message": f"invalid API key {headers.get('authorization')}"}]}, {}
        root = {"viewer": {"id": "u", "username": "ana"}, "organization": self._organisation}
        result = graphql_sync(SCHEMA, asked["query"], root, variable_values=asked["variables"])
        return 400 if result.data is None else 200, result.formatted, {}

    def _organisation(self, info: Any, name: str) -> dict[str, Any] | None:
        if name not in self.collections:
            return None
        entity = {
            "id": "e", "name": f"{name}-org",
            "artifactCollections": lambda info, **asked: self._page(self.collections[name], asked),
            "artifactMemberships": lambda info, **asked: self._page(self.versions.get(name, []), asked),
        }  # fmt: skip
        return {"id": "o", "name": name, "orgEntity": entity}

    def _page(self, nodes: list[Any], asked: dict[str, Any]) -> dict[str, Any]:
        start = int(asked.get("after") or 0)
        end = start + min(self.page, asked.get("first") or self.page)
        return {
            "totalCount": len(nodes),
            "pageInfo": {"endCursor": str(end), "hasNextPage": end < len(nodes)},
            "edges": [{"node": node} for node in nodes[start:end]],
        }

    def _run(self, info: Any) -> dict[str, Any]:
        if self.private_runs:
            raise GraphQLError("permission denied")
        return {"__typename": "Run", "id": "r", "name": "3kx9"}


def _nodes(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"node": {"id": "t", "name": name}} for name in names]
