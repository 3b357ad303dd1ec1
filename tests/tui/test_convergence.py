"""Whether gateways have what is desired, as a table."""

from datetime import timedelta

import pytest
from making import NOW, ago, route

from inventory.model import GatewayStatus, Revision
from tui.convergence import Outcome, judge

REVISION = Revision(route="iris", number=3, spec=route(), at=NOW, who="ana", why="x")
REMOVED = REVISION.model_copy(update={"spec": None})


def gateway(**parts) -> GatewayStatus:
    defaults = {"id": "local", "address": "a:1", "healthy": True, "heartbeat_at": NOW, "revisions": {"iris": 3}}
    return GatewayStatus.model_validate(defaults | parts)


REFUSED = {"iris": {"error": "bad cluster"}}
REFUSED_BEFORE = {"iris": {"error": "bad cluster", "number": 2}}


@pytest.mark.parametrize(
    ("gateways", "revision", "outcome", "words"),
    [
        ([], REVISION, Outcome.PENDING, "gnomon serve"),
        ([gateway(healthy=False)], REVISION, Outcome.PENDING, "gnomon serve"),
        ([gateway(heartbeat_at=ago(minutes=1))], REVISION, Outcome.PENDING, "gnomon serve"),
        ([gateway(revisions={"iris": 2})], REVISION, Outcome.PENDING, "local has not acknowledged"),
        ([gateway(revisions={})], REVISION, Outcome.PENDING, "local has not acknowledged"),
        ([gateway()], REVISION, Outcome.IN_FORCE, "gateway local"),
        ([gateway(revisions={"iris": 4})], REVISION, Outcome.IN_FORCE, "gateway local"),
        (
            [gateway(refused={"iris": {"error": "bad cluster"}}, revisions={"iris": 2})],
            REVISION,
            Outcome.REFUSED,
            "bad cluster",
        ),
        ([gateway(), gateway(id="b", revisions={"iris": 1})], REVISION, Outcome.PENDING, "gateway b"),
        ([gateway()], REMOVED, Outcome.PENDING, "local has not acknowledged"),
        ([gateway(revisions={})], REMOVED, Outcome.IN_FORCE, "gateway local"),
    ],
)
def test_judge(gateways, revision, outcome, words):
    result = judge(gateways, revision, NOW + timedelta(seconds=1))
    assert result.outcome is outcome
    assert words in result.words
