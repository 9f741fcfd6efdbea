"""Modules that no catalogue foresaw: correct ones, which nothing may be said against, and wrong ones, which have no name.

``CORRECT`` are build functions by what is unusual about them, some of them near-misses by their ids; ``WRONG`` are build functions by
what is wrong with them, none of which is a fault of the catalogue.
"""

from self_tests.unusual.correct import CORRECT
from self_tests.unusual.wrong import WRONG

__all__ = ["CORRECT", "WRONG"]
