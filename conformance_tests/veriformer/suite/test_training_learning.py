"""Learning, tested: a small model is trained, which takes a minute, and so only where the budget is deep."""

import torch

from veriformer import learning
from veriformer.case import Case
from veriformer.outcome import Inconclusive, NotChecked, Violation
from veriformer.property import checks
from veriformer.subjects import Instance, Subject
from veriformer_spec import training

SECONDS = 40.0
"""For one training; a clause has a minute."""
ENOUGH_STEPS = 800
"""Two thirds of the training: a model that has copied nothing until then was given its chance, even where time ran out."""
FEWEST_WORDS = 7


@checks(training.LEARNS_TO_COPY, sentence="024485cc", cases=learning.copying_models, most=1, floor=1, deep=True)
def test_a_small_model_learns_to_copy(subject: Subject, case: Case) -> None:
    """Train it on copying, from its own first weights, and let it copy what it has never seen."""
    why_not = learning.cannot_learn(subject)
    if why_not is not None:
        raise NotChecked(why_not)
    if case.vocab < FEWEST_WORDS:
        raise NotChecked(f"vocab={case.vocab} leaves no words to copy")
    instance = subject.instance(case, random_weights=False)
    if not any(each.requires_grad for each in instance.module_or_not_checked().parameters()):
        raise NotChecked("no parameter requires a gradient")
    learned = _trained_once(subject, case, instance)
    if learned.verdict is learning.Verdict.COPIES:
        return
    said = f"copied {learned.copied:.0%}, collapsed {learned.collapsed:.0%}, repeated {learned.repeated:.0%}; loss {learned.curve[-1]:.3g} after {len(learned.curve)} steps"
    cut_short = learned.out_of_time and len(learned.curve) < ENOUGH_STEPS
    if cut_short or learned.verdict is learning.Verdict.PARTLY:
        raise Inconclusive(f"the training was too short to tell: {said}")
    raise Violation(f"trained to copy, the model {learned.verdict}", margin=said)


_last: list[tuple[object, Case, learning.Learned]] = []
"""The last training: a failing case is run once more to confirm it, and a minute is long."""


def _trained_once(subject: Subject, case: Case, instance: Instance) -> learning.Learned:
    for declaration, known, learned in _last:
        if declaration is subject.declaration and known == case:
            return learned
    with torch.enable_grad():
        learned = learning.learn_to_copy(instance, seconds=SECONDS, seed=0)
    _last[:] = [(subject.declaration, case, learned)]
    return learned
