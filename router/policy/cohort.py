"""Pure: which callers are held to a candidate first. The same ones at every look, on every machine."""

import hashlib


def cohort(principal: str) -> int:
    """The percent, 0 to 99, that a caller falls into: spread evenly, and another for each id."""
    digest = hashlib.blake2b(principal.encode(), digest_size=8, person=b"gnomon-cohort").digest()
    return int.from_bytes(digest, "big") % 100


def held_to_candidate(principal: str, percent: int) -> bool:
    """Whether a caller is held to the candidate. Who is at one percentage is at every larger one."""
    return cohort(principal) < percent
