"""Pure: which callers are held to the candidate already."""

import hashlib

COHORTS = 100


def cohort(principal: str) -> int:
    """The share of all callers that a caller belongs to, 0 to 99: the same one in every process and forever.

    It is SHA-256 of the id modulo 100, so that raising the percentage only adds callers.
    """
    return int.from_bytes(hashlib.sha256(principal.encode()).digest()[:8], "big") % COHORTS


def held_to_candidate(principal: str, percent: int) -> bool:
    """Whether a caller is held to the candidate where ``percent`` of the callers are."""
    return cohort(principal) < percent
