"""Comparison: two builds of one thing, given the same state: equal, equal within rounding, or parting at a named point.

No claims are judged and no mapping is asked for: OLD is right, whatever it does, and NEW shall do the same.
"""

from veriformer.comparison.doors import compare
from veriformer.comparison.result import Comparison

__all__ = ["Comparison", "compare"]
