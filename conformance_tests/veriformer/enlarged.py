"""Token embeddings a million times as large: what skips carry then outweighs what sublayers add, and norms show.

A sublayer behind a norm adds as much to a large token as to a small one. So pre-norm layers pass a large token on as it is, and
the logits at its position no longer depend on its neighbours; a norm at the end makes them as large as ever, and without one they
grow with the token. Post-norm layers shrink it at once. No weight's name is needed: a table of tokens is known by what it does.
"""

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.outcome import NotChecked
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec.role import Role

FACTOR = 2.0**20
"""How much larger the embeddings are made: what sublayers add is then below a millionth of them."""
MORE = 4.0
"""How much larger they are made once more, to see whether the logits follow."""
WORDS = 4
"""Different words in a call; the others are not passed, and tell a table of tokens from an output projection."""
GONE, THERE = 1e-4, 1e-3
"""Share of the logits below which a change of other tokens is gone, and above which it is there."""


@dataclasses.dataclass
class Enlarged:
    """A model whose token embeddings are ``FACTOR`` times as large, and a call on it.

    Attributes:
        tables: the parameters that were found to embed tokens.
        degree: how the logits follow the tables: 0 not at all, 1 in proportion, 2 with the square.
        tied: whether one of the tables is the output projection too.
    """

    instance: Instance
    inputs: Inputs
    tables: list[nn.Parameter]
    degree: float
    tied: bool

    def influence(self, changed: Inputs) -> float:
        """The share of the logits at the last position that changes with ``changed`` in place of the call's inputs."""
        base, other = self.instance(self.inputs)[:, -1], self.instance(changed)[:, -1]
        return float((base - other).abs().max() / base.abs().max())


def vocabulary(case: Case) -> int:
    """A vocabulary whose size no other axis has, so that parameters with an axis of it are few; ten words or more."""
    taken = {
        case.d_model,
        2 * case.d_model,
        3 * case.d_model,
        case.d_ff,
        2 * case.d_ff,
        case.heads,
        case.kv_heads,
        case.layers,
    }
    return next(size for size in range(10, 1000) if size not in taken)


def enlarged(subject: Subject, case: Case) -> Enlarged:
    """Build the model, find the tables of its token embeddings, and enlarge them.

    Raises:
        NotChecked: embeddings are claimed to be normalised, or no table was found that can be enlarged.
    """
    if subject.claims["embedding_norm"]:
        raise NotChecked("embeddings are normalised, so that their size shows nowhere")
    case = dataclasses.replace(case, vocab=subject.declaration.sizes.get("vocab", vocabulary(case)))
    if case.vocab <= 2 * WORDS:
        raise NotChecked(
            f"a vocabulary of {case.vocab} words does not tell a table of tokens from an output projection"
        )
    instance, inputs = subject.instance(case), few_words(subject.inputs(case), case.seed)
    module = instance.module_or_not_checked()
    if any(parametrize.is_parametrized(each) for each in module.modules()):
        raise NotChecked("parameters are computed from others, so that embeddings cannot be enlarged")
    found = [
        (each, axis)
        for _, each in trainable(module)
        for axis in range(each.dim())
        if each.dim() > 1 and each.shape[axis] == case.vocab
    ]
    roles = [(each, *_does(instance, inputs, each, axis)) for each, axis in found]
    tables = [each for each, embeds, _ in roles if embeds]
    if not tables:
        raise NotChecked("no table of token embeddings was found among the trainable parameters")
    _require_every_table(instance, inputs, tables)
    sizes = [_size(instance, inputs, tables, factor) for factor in (FACTOR, MORE)]
    if not all(0 < size < math.inf for size in sizes):
        raise NotChecked("with large token embeddings the logits are not finite")
    degree = math.log(sizes[1] / sizes[0], MORE)
    return Enlarged(instance, inputs, tables, degree, any(embeds and projects for _, embeds, projects in roles))


def few_words(inputs: Inputs, seed: int) -> Inputs:
    """The same call with ids out of the first few words only; ``seed`` decides which stand where."""
    random = generator(seed + 11)

    def drawn(ids: Tensor) -> Tensor:
        return torch.randint(1, WORDS + 1, tuple(ids.shape), generator=random).to(ids.device)

    words = tuple(drawn(each) for each in inputs.tensors[:1]) * len(inputs.tensors)
    if inputs.crosses:
        words = (words[0], drawn(inputs.tensors[1]))
    crossing = inputs.role is Role.ENCODER_DECODER
    return dataclasses.replace(
        inputs, tensors=words, context=tuple(drawn(each) for each in inputs.context) if crossing else inputs.context
    )


@torch.no_grad()
def _does(instance: Instance, inputs: Inputs, parameter: nn.Parameter, axis: int) -> tuple[bool, bool]:
    """Whether ``parameter`` embeds tokens, and whether it is the output projection, told by what its rows change.

    A row of a word that is passed changes the logits of words that are not, if it embeds. A row of a word that is not passed
    changes its own logit, if it projects.
    """
    base = instance(inputs)
    passed, absent = slice(1, WORDS + 1), slice(WORDS + 1, None)

    def change(rows: slice) -> Tensor:
        kept = parameter.clone()
        part = parameter.movedim(axis, 0)[rows]
        part += torch.randn(part.shape, generator=generator(3), dtype=torch.float64).to(part)
        after = instance(inputs)
        parameter.copy_(kept)
        return (after - base).abs().amax((0, 1))

    return bool((change(passed)[absent] > 0).any()), bool((change(absent)[absent] > 0).any())


@torch.no_grad()
def _require_every_table(instance: Instance, inputs: Inputs, tables: list[nn.Parameter]) -> None:
    """Set the tables to zero: ids then say nothing, unless they come in by another one.

    Raises:
        NotChecked: they do, as where one table is frozen, or is longer than the vocabulary.
    """
    kept = [each.clone() for each in tables]
    for each in tables:
        each.zero_()
    changed = with_other_neighbours(inputs)
    changed = with_another_source(changed) if inputs.role is Role.ENCODER_DECODER else changed
    same = torch.equal(instance(inputs).nan_to_num(), instance(changed).nan_to_num())
    for each, value in zip(tables, kept, strict=True):
        each.copy_(value)
    if not same:
        raise NotChecked("not every table of token embeddings was found among the trainable parameters")


@torch.no_grad()
def _size(instance: Instance, inputs: Inputs, tables: list[nn.Parameter], factor: float) -> float:
    """Multiply the tables by ``factor``, and see how large the logits are.

    Raises:
        NotChecked: the subject undoes it, as embeddings with a largest norm do.
    """
    wanted = [factor * each for each in tables]
    for table, value in zip(tables, wanted, strict=True):
        table.copy_(value)
    size = float(instance(inputs).abs().max())
    if not all(torch.equal(table, value) for table, value in zip(tables, wanted, strict=True)):
        raise NotChecked("the subject changes its token embeddings when it is called, so that they cannot be enlarged")
    return size


def with_other_neighbours(inputs: Inputs) -> Inputs:
    """The same call in which every token but the last is another of the few words."""
    ids = inputs.tensors[0].clone()
    ids[:, :-1] = ids[:, :-1] % WORDS + 1
    return dataclasses.replace(
        inputs, tensors=(ids, *inputs.tensors[1:]) if inputs.crosses else (ids,) * len(inputs.tensors)
    )


def with_another_source(inputs: Inputs) -> Inputs:
    """The same call in which every token of the source is another of the few words."""
    if inputs.crosses:
        return dataclasses.replace(inputs, tensors=(inputs.tensors[0], inputs.tensors[1] % WORDS + 1))
    return dataclasses.replace(inputs, context=tuple(each % WORDS + 1 for each in inputs.context))
