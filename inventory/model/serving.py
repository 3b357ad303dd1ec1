"""How a route serves its callers beside where they go: who stays where, what is tried again, what counts as well."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from inventory.model.base import Slug, Value

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")


def _token(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header or cookie")
    return name


HeaderName = Annotated[str, AfterValidator(_token), AfterValidator(str.lower)]
CookieName = Annotated[str, AfterValidator(_token)]


class Sticky(Value):
    """What tells one caller from another, so that each stays with one backend while weights stand still.

    The first of header, cookie and address that a request has decides. A request with none of them goes anywhere.
    """

    header: HeaderName | None = None
    cookie: CookieName | None = None
    address: bool = False

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.header is None and self.cookie is None and not self.address:
            raise ValueError("name a header or a cookie that tells callers apart, or say address: true")
        return self


class Override(Value):
    """Requests whose header has this value go to this backend, whatever the weights."""

    header: HeaderName
    value: str = Field(min_length=1, max_length=1024)
    backend: Slug


class HealthCheck(Value):
    """What the gateway asks each server of a backend by itself: a GET of ``path``, below the backend's base path.

    A server that fails ``unhealthy_after`` times in a row gets no requests until it answered ``healthy_after`` times
    in a row by 200, unless every server of the backend fails: then all are tried. Seconds.
    """

    path: str = Field(default="/", pattern=r"^/[!-~]*$")
    interval_seconds: float = Field(default=10.0, ge=0.1)
    timeout_seconds: float = Field(default=2.0, gt=0)
    unhealthy_after: int = Field(default=3, ge=1)
    healthy_after: int = Field(default=2, ge=1)


class Lane(Value):
    """A share of the callers of a sticky route, in percent, and the backend that has it."""

    backend: Slug
    weight: int = Field(ge=1, le=100)
