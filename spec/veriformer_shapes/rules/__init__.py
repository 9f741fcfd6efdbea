"""What each operation of torch and einops does to shapes: a table, a few lines a rule.

`apply` looks an operation up by its bare name. An operation that is not in the table,
and a call that a rule cannot follow, give an unknown value: silence, never an alarm.
"""

from . import (
    attention,
    combine,
    contract,
    create,
    elementwise,
    index,
    keep,
    reduce,
    reshape,
    split,
    structure,
)
from .table import apply, knows

__all__ = [
    "apply",
    "attention",
    "combine",
    "contract",
    "create",
    "elementwise",
    "index",
    "keep",
    "knows",
    "reduce",
    "reshape",
    "split",
    "structure",
]
