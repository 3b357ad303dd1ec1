"""Gateways on other machines: who may join, and who has."""

from inventory.model.base import Moment, Slug, Value


class Invitation(Value):
    """Leave for one gateway to join once. ``digest`` is of the token's secret, which is kept nowhere."""

    digest: str
    gateway: Slug
    expires_at: Moment
    used_at: Moment | None = None


class Member(Value):
    """A gateway that joined. ``enrolment`` tells its certificates from those of an earlier one of that name.

    ``ends_at`` is when its newest certificate ends. One that was expelled is refused until it joins anew.
    """

    gateway: Slug
    enrolment: str
    joined_at: Moment
    ends_at: Moment
    expelled_at: Moment | None = None
