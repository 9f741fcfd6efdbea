"""Shapes in mypy: checks jaxtyping annotations on torch tensors without running anything.

One line of configuration, ``plugins = veriformer_shapes.mypy``; no change to the code
that is checked. See docs/shapes.md for what is checked and what is not.
"""

from typing import TypeVar

__all__ = ["reveal_shape"]

_T = TypeVar("_T")


def reveal_shape(value: _T, /) -> _T:
    """Have mypy print the shape it knows of a value, as ``reveal_type`` does for types.

    At run time this is the value itself.
    """
    return value
