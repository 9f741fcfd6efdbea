"""What is asked of a run: which clauses, how many cases, where, and how long; refused in one line where it cannot be meant."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence

from veriformer.errors import UsageError
from veriformer.expectations import Expected
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.numerics import UNITS

EXAMPLES = {"quick": 5, "standard": 25, "deep": 400}
"""Cases drawn for each property, by budget."""

MEMORY_GIB = 8.0
"""What a judged process may take beyond what it has when it starts: a layer of any size fits, and a runaway does not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """How subjects are judged.

    Attributes:
        only: clause ids or chapters; empty means every clause.
        skip: clause ids or chapters left out.
        case: replay exactly this case of the one clause in ``only``.
        expected: failures that are known, by clause.
        isolate: judge in a child process.
        time_limit: seconds for one clause, for importing the target and for the preflight.
        memory: GiB that the child may take beyond what it starts with; 0 sets no limit.
        diagnose: name what the failures look like, and what the run could have missed.
    """

    budget: str = "standard"
    device: str = "cpu"
    dtype: str = "float64"
    seed: int = 0
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    case: str = ""
    expected: tuple[Expected, ...] = ()
    isolate: bool = True
    time_limit: float = 60.0
    memory: float = MEMORY_GIB
    diagnose: bool = True

    def __post_init__(self) -> None:
        if self.budget not in EXAMPLES:
            raise UsageError(f"budget {self.budget!r} does not exist; it is one of {', '.join(EXAMPLES)}")
        if self.dtype not in UNITS:
            raise UsageError(f"dtype {self.dtype!r} cannot be judged; it is one of {', '.join(UNITS)}")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise UsageError(f"device {self.device!r} cannot be judged; it is cpu, cuda or cuda:0 and so on")
        if not self.time_limit > 0:
            raise UsageError(f"time_limit={self.time_limit} must be larger than 0, in seconds")
        asked = clauses_named(self.only)
        clauses_named(self.skip)
        if self.case and (len(asked) != 1 or list(self.only) != list(asked)):
            raise UsageError("case: one case belongs to one clause: give exactly one clause id in only")

    @property
    def clauses(self) -> Sequence[str]:
        """The ids of the clauses that are asked for, in the specification's order."""
        wanted, left_out = set(clauses_named(self.only) if self.only else CLAUSES), set(clauses_named(self.skip))
        return [clause for clause in CLAUSES if clause in wanted - left_out]


def clauses_named(names: Iterable[str]) -> list[str]:
    """The ids of the clauses that ``names`` stand for: each is a clause's id, or a chapter with all its clauses.

    Raises:
        UsageError: a name is neither.
    """
    chapters = {clause.chapter for clause in CLAUSES.values()}
    found = []
    for name in names:
        if name in CLAUSES:
            found.append(name)
        elif name in chapters:
            found.extend(clause for clause in CLAUSES if clause.startswith(f"{name}."))
        else:
            raise UsageError(f"clause {name!r} does not exist; {nearest(name, [*CLAUSES, *sorted(chapters)])}")
    return list(dict.fromkeys(found))


def nearest(name: str, known: Sequence[str]) -> str:
    """``did you mean ...?``, or where the list is to be had."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not close:
        slugs = {each.partition(".")[2]: each for each in known if "." in each}
        close = [slugs[each] for each in difflib.get_close_matches(name, slugs, n=1, cutoff=0.5)]
    return f"did you mean {close[0]}?" if close else "`veriformer clauses` lists them all"
