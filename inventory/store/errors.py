"""The database's errors, as one sentence that a person can act on."""

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError


class StoreError(Exception):
    """The database could not do what was asked. Nothing of the failed write was kept."""


def explain(url: str, error: BaseException) -> StoreError:
    """A StoreError for a failure at a database, with the password of its URL hidden."""
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()
    first = cause[0] if cause else type(error).__name__
    return StoreError(f"the database {hide_password(url)} failed: {first}")


def hide_password(url: str) -> str:
    """A database URL that may be printed."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, SQLAlchemyError, ValueError):
        return "(unreadable URL)"
