"""What every domain value shares: immutable, closed to unknown fields, times in UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints


class Value(BaseModel):
    """An immutable, validated value. An unknown field is an error, so that typing mistakes surface."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time, always UTC. A naive datetime is refused."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A name fit for a host label: lower case, digits and inner hyphens, at most 63 characters."""


def utc_now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)
