"""Gradients, tested: the reference's, and none where the mask hides."""

import copy
import dataclasses

import torch
from torch import Tensor

from veriformer import derivative, oracle, overflow, tolerance
from veriformer.case import Case
from veriformer.inputs import PAD_ID, Inputs, generator, normal
from veriformer.outcome import NotChecked, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.understanding import mapped_weights
from veriformer.visibility import may_see
from veriformer.weights import trainable
from veriformer_spec import training
from veriformer_spec.config import MASK_KINDS
from veriformer_spec.role import CROSS_ATTENDING

WORDS = 41
"""A prime number of words: no other size of a model is this one, or a multiple of it."""
SOURCE_WORDS = 20
"""Where the source's words begin: source and target share none."""


@checks(
    training.GRADIENTS_EQUAL_THE_REFERENCE,
    sentence="6105de44",
    cases=cases(q_len=(2, 4), masks=MASK_KINDS),
    most=12,
    needs_weights=True,
)
def test_gradients_equal_the_reference(subject: Subject, case: Case) -> None:
    """The reference's gradient of each mapped tensor, sent through the mapping to the subject's own parameters.

    A mapping may cut, turn or scale a parameter: what is compared is the gradient of the parameter itself.
    """
    inputs = subject.inputs(case)
    if _require_equal_gradients(subject.instance(case), inputs, case, subject.rounds_to):
        return
    narrow = overflow.in_float32(subject, case)  # what hides a row with nothing visible may overflow in float64 alone
    if narrow is not None and _require_equal_gradients(narrow, inputs.to(torch.float32), case, torch.float32):
        return
    raise Violation("gradients are not finite, in float32 either, and the reference's are")


def _require_equal_gradients(instance: Instance, inputs: Inputs, case: Case, dtype: torch.dtype) -> bool:
    """Whether gradients are finite where the reference's are; where they are finite, fail unless they are equal too."""
    parameters = trainable(instance.module_or_not_checked())
    with derivative.mode(instance, training=case.seed % 2 == 1):
        output = instance(inputs, grad=True)
        if not output.requires_grad:
            raise NotChecked("the output records no gradient, though gradients are on")
        direction = normal(tuple(output.shape), generator(case.seed), torch.float64, torch.device("cpu"))
        tensors = [each for _, each in parameters]
        found = torch.autograd.grad((output * direction.to(output)).sum(), tensors, allow_unused=True)
    bare = _without_hooks(instance)
    wanted = _sent_back(bare, inputs, direction)
    compared = [index for index, each in enumerate(wanted) if each is not None]
    if not compared:
        raise NotChecked("the weights mapping gives copies: no parameter is reached through it")

    def joined(gradients: list[Tensor | None]) -> Tensor:
        return torch.cat([_known(gradients[index], tensors[index]) for index in compared])

    if bool(joined(wanted).isfinite().all()) and not bool(joined(list(found)).isfinite().all()):
        return False
    try:
        tolerance.require_close(
            joined(list(found)), joined(wanted), "", dtype=dtype,
            again=lambda: joined(_sent_back(bare, inputs, direction)),
        )  # fmt: skip
    except Violation as seen:
        ends = torch.tensor([tensors[index].numel() for index in compared]).cumsum(0)
        name = parameters[compared[int((ends <= seen.evidence.index[0]).sum())]][0]
        seen.evidence = dataclasses.replace(
            seen.evidence, message=f"the gradient of {name} is not the reference's", expected=None, got=None
        )
        raise
    return True


def _known(gradient: Tensor | None, like: Tensor) -> Tensor:
    """A gradient as one line of numbers; no gradient is one of zeros."""
    return (torch.zeros_like(like) if gradient is None else gradient).detach().double().cpu().flatten()


def _without_hooks(instance: Instance) -> Instance:
    """The same numbers in a copy of the module: a hook that changes gradients is left behind."""
    try:
        return instance.on(copy.deepcopy(instance.module_or_not_checked()))
    except Exception:  # noqa: BLE001  # some modules cannot be copied, which another clause reports
        return instance


def _sent_back(instance: Instance, inputs: Inputs, direction: Tensor) -> list[Tensor | None]:
    """The reference's gradients as gradients of the subject's parameters; None for one that no mapped tensor comes from."""
    parameters = [each for _, each in trainable(instance.module_or_not_checked())]
    with torch.enable_grad():
        mapped = mapped_weights(instance)
        gradients = oracle.gradients(instance, inputs, direction)
        parts = [
            (mapped[name] * each.to(mapped[name])).sum()
            for name, each in gradients.items()
            if mapped[name].requires_grad
        ]
        if not parts:
            return [None] * len(parameters)
        return list(torch.autograd.grad(torch.stack(parts).sum(), parameters, allow_unused=True))


@checks(
    training.GRADIENTS_RESPECT_THE_MASK,
    sentence="b8caa88a",
    cases=cases(
        batch=(1, 2), q_len=(2, 4), k_len=(2, 4), context=(2, 4), layers=(1, 2), vocab=(WORDS, WORDS),
        masks=("none", "causal", "padding", "arbitrary"),
    ),
    most=12,
)  # fmt: skip
def test_gradients_respect_the_mask(subject: Subject, case: Case) -> None:
    """The gradient of each output: none towards a token that it may not see, in evaluation and in training."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    if inputs.vocab:
        inputs = _with_every_word_once(inputs)
    hidden = ~may_see(case, inputs)
    if not bool(hidden.any()):
        raise Vacuous("nothing is hidden")
    for train in (False, True):
        with derivative.mode(instance, training=train and instance.module is not None):
            sizes = _towards_words(instance, inputs) if inputs.vocab else _towards_features(instance, inputs)
        leaking = torch.where(hidden, sizes, 0.0)
        allowed = tolerance.units(subject.rounds_to) * 4 * tolerance.roundoff(subject.rounds_to) * float(sizes.max())
        if float(leaking.max()) > allowed:
            row, query, key = (int(each) for each in torch.unravel_index(leaking.argmax(), leaking.shape))
            raise Violation(
                f"in row {row}, the output at query {query} sends a gradient to token {key}, which is hidden from it",
                expected=(~hidden).int()[row],
                got=(sizes > allowed).int()[row],
                index=(row, query, key),
                axes=("query", "token"),
                shows="may depend",
                margin=f"of size {float(leaking.max()):.3g}, in {'training' if train else 'evaluation'}; 1 = may get one (expected), gets one (got)",
            )
        if inputs.vocab and not bool(sizes.any()):
            raise NotChecked("the weights with one slice for each word are not those by which words enter")
        if not bool(sizes.any()):
            raise Vacuous("no token gets a gradient, so that none could be wrong")


def _towards_features(instance: Instance, inputs: Inputs) -> Tensor:
    """``batch q_len k_len``: the largest gradient of each query's output towards each key's features."""
    leaves = inputs.requiring_gradients()
    output = instance(leaves, grad=True)
    if not output.requires_grad:
        raise NotChecked("the output records no gradient, though gradients are on")
    lines = output if output.dim() == 3 else output.transpose(1, 2).flatten(2)
    direction = normal(tuple(lines.shape), generator(1), lines.dtype, lines.device)
    distinct = leaves.key_side[:1] if leaves.self_attending else leaves.key_side
    columns = []
    for query in range(inputs.q_len):
        gradients = torch.autograd.grad(
            (lines[:, query] * direction[:, query]).sum(), distinct, retain_graph=True, materialize_grads=True
        )
        sizes = [
            each.abs().amax(-1).flatten(1, -2).amax(1) if each.dim() == 4 else each.abs().amax(-1) for each in gradients
        ]
        columns.append(torch.stack(sizes).amax(0))
    return (
        torch.stack(columns, dim=1).nan_to_num(0.0).double().cpu()
    )  # NaN in a row with nothing visible is another clause's matter


def _with_every_word_once(inputs: Inputs) -> Inputs:
    """The same call with a word of its own at each position of source and target; padding stays."""

    def renamed(ids: Tensor, start: int) -> Tensor:
        words = start + torch.arange(ids.shape[1], device=ids.device)[:, None]
        return torch.where(ids == PAD_ID, ids, words.expand_as(ids))

    if inputs.vocab < WORDS or max(inputs.q_len, inputs.k_len) >= SOURCE_WORDS:
        raise Vacuous("there are not enough words to have one of its own at each position")
    if inputs.crosses:
        tensors: tuple[Tensor, ...] = (renamed(inputs.tensors[0], 1), renamed(inputs.tensors[1], SOURCE_WORDS))
        return dataclasses.replace(inputs, tensors=tensors)
    tensors = (renamed(inputs.tensors[0], 1),) * len(inputs.tensors)
    context = tuple(renamed(each, SOURCE_WORDS) for each in inputs.context)
    return dataclasses.replace(
        inputs, tensors=tensors, context=context if inputs.role in CROSS_ATTENDING else inputs.context
    )


def _towards_words(instance: Instance, inputs: Inputs) -> Tensor:
    """``batch q_len k_len``: the largest gradient of each query's logits towards the slices of each key's word.

    A word's slices stand in every weight with an axis as long as the vocabulary. The logits of the words that are looked for are left out of
    the sum, so that an output layer, tied or not, sends its own slices nothing.
    """
    vocab = inputs.vocab
    tables = [
        (each, axis)
        for _, each in trainable(instance.module_or_not_checked())
        for axis, size in enumerate(each.shape)
        if size == vocab and each.dim() > 1
    ]
    if not tables:
        raise NotChecked("no weight has one slice for each word of the vocabulary")
    logits = instance(inputs, grad=True)
    if not logits.requires_grad:
        raise NotChecked("the output records no gradient, though gradients are on")
    keys = inputs.key_side[0][..., 0]
    sizes = torch.zeros(inputs.batch, inputs.q_len, inputs.k_len, dtype=torch.float64)
    direction = normal((vocab,), generator(1), logits.dtype, logits.device)
    reach = may_see_any(inputs)
    for row in range(inputs.batch):
        for query in range(inputs.q_len):
            left = direction.clone()
            left[keys[row]] = 0
            left[left != 0] -= left[
                left != 0
            ].mean()  # log-probabilities differ from logits by what is the same for all words
            gradients = torch.autograd.grad(
                logits[row, query] @ left,
                [each for each, _ in tables],
                retain_graph=True,
                materialize_grads=True,
                allow_unused=True,
            )
            by_word = torch.stack(
                [
                    each.abs().movedim(axis, 0).flatten(1).amax(1)
                    for each, (_, axis) in zip(gradients, tables, strict=True)
                ]
            ).amax(0)
            sizes[row, query] = by_word[keys[row]].double().cpu()
    return torch.where(reach, sizes, 0.0)


def may_see_any(inputs: Inputs) -> Tensor:
    """``batch q_len 1``: queries that promise an output."""
    return ~inputs.unspecified()[..., None]
