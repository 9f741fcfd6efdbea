"""How a property ends: these exceptions, or a plain return, which is one case passed."""

from dataclasses import dataclass, field, replace

from torch import Tensor

from veriformer.picture import cut
from veriformer.verdict import Picture


class Violation(AssertionError):
    """The clause does not hold for this case.

    Attributes:
        evidence: what a reader needs to see it: expected, got, where, and by how much.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: Tensor | None = None,
        got: Tensor | None = None,
        index: tuple[int, ...] = (),
        margin: str = "",
        whole: tuple[Tensor | None, Tensor | None] | None = None,
        axes: tuple[str, str] = ("", ""),
        shows: str = "numbers",
    ) -> None:
        """Say what was seen.

        Args:
            whole: the tensors that ``expected`` and ``got`` are rows of, where they are; a picture is cut out of them.
            axes: what the last two axes of the picture are.
            shows: what its numbers are: see ``verdict.Picture``.
        """
        super().__init__(message)
        picture = cut(*(whole or (expected, got)), index, shows=shows, axes=axes)
        self.evidence = Evidence(message, _listed(expected), _listed(got), list(index), margin, picture)

    def behaves_as(self, claims: list[str]) -> None:
        """Add which other legal claims would fit what was seen."""
        said = f"{self.evidence.message}; it behaves as {' or as '.join(claims)}"
        self.evidence = replace(self.evidence, message=said)
        self.args = (said,)


@dataclass(frozen=True)
class Evidence:
    """What was seen, small enough to print."""

    message: str
    expected: list[object] | float | None = None
    got: list[object] | float | None = None
    index: list[int] = field(default_factory=list)
    margin: str = ""
    picture: Picture | None = None


MOST_NUMBERS = 48
"""Evidence holds no tensor larger than this: a failure is one screen."""


def _listed(tensor: Tensor | None) -> list[object] | float | None:
    if tensor is None:
        return None
    small = tensor.detach().cpu()
    while small.numel() > MOST_NUMBERS:
        small = small[0]
    values = small.double().tolist() if small.is_floating_point() else small.tolist()
    return values


class Vacuous(Exception):  # not an error: the case could not have failed, and is counted apart
    """This case could not have failed: nothing was masked, nothing could differ."""


class NotChecked(Exception):  # not an error: the clause could not be checked at all, and the report says why
    """The clause cannot be checked on this subject, for a reason that the report says aloud."""


class Inconclusive(Exception):  # not an error: neither right nor wrong could be shown
    """What came back could be neither called right nor wrong, for a reason that the report says aloud."""


class SubjectError(Exception):
    """The subject raised, exited, or returned something that is no tensor.

    Attributes:
        origin: ``build`` or ``call``.
    """

    def __init__(self, message: str, *, origin: str) -> None:
        super().__init__(message)
        self.origin = origin
