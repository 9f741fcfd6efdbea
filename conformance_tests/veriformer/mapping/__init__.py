"""Mapping: where the reference's parameters are in a module that nobody told anything about.

Symmetric weights make an unknown module and the reference one function, whatever is called what; one backward pass on each
then tells their parameters apart; and fresh random weights verify what was found.
"""

from veriformer.mapping.found import NotUnderstood, Understood
from veriformer.mapping.layout import Layout, LayoutError
from veriformer.mapping.search import automatic

__all__ = ["Layout", "LayoutError", "NotUnderstood", "Understood", "automatic"]
