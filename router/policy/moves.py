"""Pure: what a person asks of the policies becomes their next state, or one sentence that says why not."""

from inventory.model import PolicyState
from router.policy.cohort import COHORTS
from router.policy.errors import PolicyError


def candidate(state: PolicyState, number: int | None) -> PolicyState:
    """A version evaluated beside the enforced one, holding nobody yet; None ends that."""
    if number is not None and number == state.enforced:
        raise PolicyError(f"version {number} is enforced already: only another one can be tried beside it")
    return state.model_copy(update={"candidate": number, "percent": 0})


def promote(state: PolicyState, percent: int) -> PolicyState:
    """So many percent of the callers held to the candidate; at 100 it is the enforced version."""
    if state.candidate is None:
        raise PolicyError("there is no candidate to promote: `gnomon policy candidate N` tries a version")
    if percent >= COHORTS:
        return state.model_copy(update={"enforced": state.candidate, "candidate": None, "percent": 0})
    return state.model_copy(update={"percent": percent})


def rollback(state: PolicyState, before: PolicyState | None) -> PolicyState:
    """What counted before the latest change; doing it twice undoes it."""
    if before is None:
        raise PolicyError("nothing was decided before this, so there is nothing to go back to")
    return before.model_copy(update={"version": state.version})
