"""Attributes that are worked out when they are first asked for, without the lock of ``functools.cached_property``.

The lock costs more than most of the work, and answers are seen by one thread only.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class lazily(Generic[T]):  # noqa: N801 - it is read as a decorator
    """Makes a method an attribute that is kept with its object from the first look on."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        """The attribute. It is looked for here only as long as the object has none of that name."""
        if instance is None:
            return self
        found = instance.__dict__[self._name] = self._work(instance)
        return found
