"""Embedding, tested in models: whether the token embedding and the output projection are one tensor.

No weight's name is needed. Inputs hold a few ids only. A parameter whose line for such an id changes logits of *other* words is a
token embedding; one whose line for an absent id changes that word's logit alone is an output projection. Tied means: one is both.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Iterator

import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from veriformer import tolerance
from veriformer.case import Case
from veriformer.inputs import Inputs, generator, normal
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec import embedding
from veriformer_spec.role import Role

SIZES = cases(batch=(1, 2), q_len=(2, 4), d_head=(2, 3), layers=(1, 2), vocab=(5, 11), context=(2, 3), sides=("self",))


def models(subject: Subject) -> SearchStrategy[Case]:
    """Cases with as many words as nothing else has, so that a table of words is known by its shape."""

    def apart(case: Case) -> Case:
        taken = {case.d_model * times for times in (1, 2, 3)} | {case.d_ff, 2 * case.d_ff, case.d_head, case.kv_heads}
        taken |= {subject.config(case).max_len, subject.config(case).buckets}
        free = next(size for size in range(case.vocab, case.vocab + 30) if size not in taken)
        return case if "vocab" in subject.declaration.sizes else dataclasses.replace(case, vocab=free)

    return SIZES(subject).map(apart)


TARGET_WORD, SOURCE_WORD, ABSENT_WORD = 1, 2, 3
"""The only id of the target (or of the text), the only one of the source, and one that stands nowhere; 0 is padding."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A parameter that has a line of numbers for each word, along ``axis``."""

    name: str
    parameter: nn.Parameter
    axis: int

    @contextlib.contextmanager
    def changed(self, word: int) -> Iterator[None]:
        """Other numbers for one word, in place, for a while."""
        line = self.parameter.data.select(self.axis, word)
        before = line.clone()
        line.add_(normal(tuple(line.shape), generator(word), line.dtype, line.device))
        try:
            yield
        finally:
            line.copy_(before)


def lines(instance: Instance) -> list[Line]:
    """Every parameter that may be a table of words."""
    vocab = instance.config.vocab
    return [
        Line(name, each, axis)
        for name, each in trainable(instance.module_or_not_checked())
        if each.dim() == 2
        for axis in (0, 1)
        if each.shape[axis] == vocab
    ]


def few_words(subject: Subject, case: Case) -> Inputs:
    """The call of ``case`` with one word everywhere; the source of an encoder-decoder has another one."""
    inputs = subject.inputs(case)
    if inputs.vocab <= ABSENT_WORD + 1:
        raise Vacuous("the vocabulary has too few words")
    target = torch.full_like(inputs.tensors[0], TARGET_WORD)
    changed = dataclasses.replace(inputs, tensors=(target,) * len(inputs.tensors))
    if subject.role is Role.ENCODER_DECODER:
        changed = dataclasses.replace(changed, context=(torch.full_like(inputs.context[0], SOURCE_WORD),))
    return changed


@dataclasses.dataclass(frozen=True)
class Uses:
    """What the model does with one parameter."""

    line: Line
    reads: frozenset[int]
    projects: bool

    @property
    def embeds(self) -> bool:
        """Whether it is the token embedding of some side."""
        return bool(self.reads)


def uses(instance: Instance, inputs: Inputs) -> list[Uses]:
    """What changing each table does: to words that were read, and to one that was not."""
    base = instance(inputs)
    if not bool(base.isfinite().all()):
        raise Vacuous("the logits are not finite")
    rounding = tolerance.units(instance.subject.rounds_to) * tolerance.floor(base, instance.subject.rounds_to)

    def moved(line: Line, word: int) -> Tensor:
        """Which words' logits change: ``vocab``."""
        with line.changed(word):
            return (instance(inputs) - base).abs().amax((0, 1)).cpu() > rounding

    found = []
    words = (TARGET_WORD, SOURCE_WORD) if instance.subject.role is Role.ENCODER_DECODER else (TARGET_WORD,)
    for line in lines(instance):
        others = torch.ones(instance.config.vocab, dtype=torch.bool)
        reads = set()
        for word in words:
            others[word] = False
            if bool(moved(line, word)[others].any()):
                reads.add(word)
            others[word] = True
        absent = moved(line, ABSENT_WORD)
        others[ABSENT_WORD] = False
        found.append(Uses(line, frozenset(reads), bool(absent[ABSENT_WORD]) and not bool(absent[others].any())))
    return [each for each in found if each.embeds or each.projects]


def require_as_claimed(instance: Instance, inputs: Inputs, when: str) -> None:
    """Fail if an embedding and the projection are one tensor, and should not be, or the other way round."""
    found = uses(instance, inputs)
    both = [each for each in found if each.embeds and each.projects]
    if not any(each.embeds for each in found):
        raise NotChecked("no parameter with a line for each word was found to be the token embedding")
    if not instance.config.tied:
        if both:
            raise Violation(
                f"{when}, changing the token embedding changes the output projection ({both[0].line.name}), and tied weights are "
                "not claimed; it behaves as tied=True"
            )
        return
    loose = [each for each in found if each.embeds and not each.projects]
    if loose:
        raise Violation(
            f"{when}, changing the token embedding ({loose[0].line.name}) leaves the output projection as it was; it behaves as "
            "tied=False"
        )
    if any(not each.embeds for each in found):
        raise Violation(f"{when}, a second output projection is there that the token embedding does not change")
    for each in both:
        _require_one_gradient(instance, inputs, each.line, when)


def _require_one_gradient(instance: Instance, inputs: Inputs, line: Line, when: str) -> None:
    """Two tensors in one memory look tied until one of them is trained: the gradient must reach the line of an absent word."""
    output = instance(inputs, grad=True)
    if not output.requires_grad:
        return
    (gradient,) = torch.autograd.grad(
        output[..., ABSENT_WORD].sum(), [line.parameter], allow_unused=True, materialize_grads=True
    )
    if not bool(gradient.select(line.axis, ABSENT_WORD).any()):
        raise Violation(
            f"{when}, the token embedding ({line.name}) and the output projection share memory and are two tensors: the projection's "
            "gradient does not reach the embedding"
        )


@checks(embedding.TIED_WEIGHTS_ARE_ONE_TENSOR, sentence="70a26fef", cases=models, most=10)
def test_tied_weights_are_one_tensor(subject: Subject, case: Case) -> None:
    """As built, in a deep copy, and in another instance that loads the state_dict."""
    instance, inputs = subject.instance(case), few_words(subject, case)
    require_as_claimed(instance, inputs, "as built")
    module = instance.module_or_not_checked()
    try:
        copied = instance.on(copy.deepcopy(module))
    except Exception:  # noqa: BLE001  # a module that cannot be copied fails a clause of its own
        copied = instance
    require_as_claimed(copied, inputs, "in a copy")
    other = subject.instance(dataclasses.replace(case, seed=case.seed + 1))
    loaded = other.module_or_not_checked()
    try:
        loaded.load_state_dict(module.state_dict())
    except Exception:  # noqa: BLE001  # a clause of its own says so
        return
    require_as_claimed(other, inputs, "after load_state_dict")
    expected, got = instance(inputs), other(inputs)
    tolerance.require_close(got, expected, "after load_state_dict the logits are others", dtype=subject.rounds_to)
