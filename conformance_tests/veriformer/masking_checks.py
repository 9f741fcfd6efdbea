"""What several properties of masking ask: that nothing leaks, that nothing is missing, that two calls agree."""

from torch import Tensor

from veriformer import perturbation, tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.outcome import Vacuous
from veriformer.subjects import Instance, Subject
from veriformer.visibility import may_see, must_see
from veriformer_spec.role import MODELS

PATHS = (False, True)
"""Gradients off and on: torch.nn runs other code without them."""
SHORT = (2, 4)
"""Lengths where each example costs as many calls as there are keys."""
POSITIONS_OF_THE_TOKENS_ALONE = ("none", "sinusoidal", "learned")
"""Kinds of position that are added to tokens, so that a memory that arrives as features has none."""


def require_nothing_leaks(
    instance: Instance, inputs: Inputs, case: Case, message: str, *, visible: Tensor | None = None
) -> None:
    """Fail if a query changes with a key that it may not see, on any code path.

    Args:
        visible: ``batch q_len k_len``: what may be seen, where that is not what ``may_see`` says.
    """
    hidden = ~(may_see(case, inputs) if visible is None else visible)
    if not bool(hidden.any()):
        raise Vacuous("nothing is hidden")
    perturbation.on_every_path(
        instance,
        lambda grad: perturbation.require_invisible(
            instance, inputs, perturbation.EVERY_ROW, hidden, message, seed=case.seed, grad=grad
        ),
    )


def require_nothing_is_missing(
    instance: Instance, inputs: Inputs, case: Case, message: str, *, visible: Tensor | None = None
) -> None:
    """Fail if a query does not change with a key that it may see.

    Args:
        visible: ``batch q_len k_len``: what must be seen, where that is not what ``must_see`` says.
    """
    seen = must_see(case, inputs) if visible is None else visible
    for grad in PATHS:
        perturbation.require_visible(instance, inputs, perturbation.EVERY_ROW, seen, message, seed=case.seed, grad=grad)


def require_same(instance: Instance, inputs: Inputs, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail where ``got`` and ``expected`` differ by more than rounding in ``inputs``' call explains."""
    tolerance.require_close(got, expected, message, dtype=instance.subject.rounds_to, again=lambda: instance(inputs))


def positions_follow_the_index(subject: Subject, inputs: Inputs) -> bool:
    """Whether removing a key moves the ones behind it, or what their windows hold: then only the end may be removed."""
    if subject.windowed and not inputs.crosses:
        return True
    kind = subject.claims.get("positions", "none")
    if inputs.crosses and subject.role not in MODELS:
        return kind not in POSITIONS_OF_THE_TOKENS_ALONE
    return bool(kind != "none")


def may_be_left_out(subject: Subject, inputs: Inputs, kept: Tensor) -> bool:
    """Whether the keys beside those in ``kept`` may be removed, and padding in their place claims to be the same.

    A model over ids says where padding may stand, and counts real tokens there. Elsewhere positions follow the index.
    """
    behind = len(kept) == 0 or int(kept[-1]) == len(kept) - 1
    if subject.role not in MODELS:
        return behind or not positions_follow_the_index(subject, inputs)
    before = len(kept) == 0 or int(kept[0]) == inputs.k_len - len(kept)
    sides = subject.claims["padding_sides"]
    return (behind and "right" in sides) or (before and "left" in sides) or "interior" in sides


def shape_of(mask: Tensor) -> str:
    """A mask's shape, as a person writes it."""
    return "x".join(map(str, mask.shape))
