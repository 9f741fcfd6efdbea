"""Subjects that come with the package, by name: ``reference``, ``torch.nn``, and each of their parts."""

from collections.abc import Sequence

from veriformer.adapters import reference, torch_decoders, torch_nn
from veriformer.declaration import Declaration


def subjects() -> tuple[Declaration, ...]:
    """Every built-in subject."""
    return (*reference.declarations(), *torch_nn.declarations(), *torch_decoders.declarations())


def subjects_named(name: str) -> Sequence[Declaration]:
    """The subjects called ``name``, or whose name goes on after it: ``torch.nn`` is all of torch.nn.

    An exact name gives one claim set; ``torch.nn.TransformerEncoderLayer`` names the plain one, and
    ``torch.nn.TransformerEncoderLayer pre-norm gelu`` another. Empty where nothing has the name.
    """
    known = subjects()
    exact = [each for each in known if each.name == name]
    return exact or [each for each in known if each.name.startswith((f"{name}.", f"{name} "))]


def names() -> Sequence[str]:
    """Every name that ``subjects_named`` answers to exactly, and the families."""
    return ("reference", "torch.nn", *(each.name for each in subjects()))
