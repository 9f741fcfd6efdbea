"""Values that only mypy's types can describe: objects, functions, classes."""

from dataclasses import dataclass

from mypy.nodes import TypeInfo
from mypy.types import CallableType, Instance

from ..language.axis import Axis
from ..language.values import Value


@dataclass(frozen=True, slots=True)
class Object(Value):
    """An instance of a class.

    Attributes:
        path: how the function reaches it, if by a plain name: ``self``, ``self.cache``.
        sizes: what the axis names of its fields stand for, if its making was seen.
    """

    instance: Instance
    path: str | None = None
    sizes: tuple[tuple[str, Axis], ...] = ()


@dataclass(frozen=True, slots=True)
class Function(Value):
    """A callable with a signature (of a method without ``self``)."""

    name: str
    signature: CallableType


@dataclass(frozen=True, slots=True)
class Overloads(Value):
    """A function with several signatures."""

    name: str
    signatures: tuple[CallableType, ...]


@dataclass(frozen=True, slots=True)
class Class(Value):
    """A class itself, which is called to make an object."""

    info: TypeInfo


@dataclass(frozen=True, slots=True)
class Library(Value):
    """A function of torch, einops, math or builtins, by its full name."""

    fullname: str


@dataclass(frozen=True, slots=True)
class Method(Value):
    """A method of a value that the rules know: ``x.view`` of a tensor."""

    owner: Value
    name: str


@dataclass(frozen=True, slots=True)
class Mapping(Value):
    """A dict whose values are all alike."""

    item: Value


@dataclass(frozen=True, slots=True)
class Chain(Value):
    """``nn.Sequential``: each part is called with what the one before gave."""

    parts: tuple[Value, ...]
