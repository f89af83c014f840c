"""How the nouns of the walk are declared: slotted dataclasses that nobody changes once they are made.

mypy sees to that. Freezing them at run time as well would double the time that it takes to make one, and one object
more or less is made for everything that comes by. Comparing and printing are written once, not generated for each of
some eighty classes: that was an eighth of the time of a start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def noun(cls: type[T]) -> type[T]:
    """A dataclass with slots, equality and hash by its fields, whose fields are not to be set again."""
    made = _printed(cls)
    made.__eq__ = _equal  # type: ignore[method-assign]
    made.__hash__ = _hashed  # type: ignore[assignment]
    return made


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def unique(cls: type[T]) -> type[T]:
    """The same, but equal to itself alone."""
    return _printed(cls)


@dataclass_transform(field_specifiers=(field,))
def state(cls: type[T]) -> type[T]:
    """A dataclass with slots and equality, whose fields change."""
    made = _printed(cls)
    made.__eq__ = _equal  # type: ignore[method-assign]
    made.__hash__ = None  # type: ignore[assignment]
    return made


def _printed(cls: type[T]) -> type[T]:
    made = dataclass(slots=True, eq=False, repr=False)(cls)
    made.__repr__ = _told  # type: ignore[method-assign]
    return made


def _values(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, item.name) for item in fields(one))


def _equal(one: object, other: object) -> bool:
    return _values(one) == _values(other) if type(one) is type(other) else NotImplemented


def _hashed(one: object) -> int:
    return hash(_values(one))


def _told(one: Any) -> str:
    told = ", ".join(f"{item.name}={getattr(one, item.name)!r}" for item in fields(one))
    return f"{type(one).__qualname__}({told})"
