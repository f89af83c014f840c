"""How the nouns of the walk are declared: slotted dataclasses that nobody changes once they are made.

mypy sees to that. Freezing them at run time as well would double the time that it takes to make one, and one object
more or less is made for everything that comes by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def noun(cls: type[T]) -> type[T]:
    """A dataclass with slots, equality and hash by its fields, whose fields are not to be set again."""
    return dataclass(slots=True, unsafe_hash=True)(cls)


@dataclass_transform(frozen_default=True, eq_default=False)
def unique(cls: type[T]) -> type[T]:
    """The same, but equal to itself alone."""
    return dataclass(slots=True, eq=False)(cls)
