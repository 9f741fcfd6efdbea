"""Probing: the one case, the inputs and the fresh weights with which a subject's parameters are told apart."""

import dataclasses
import math

import torch
from torch import Tensor, nn

from veriformer.case import SHOWN, Case
from veriformer.declaration import Unsupported
from veriformer.inputs import Inputs, generator
from veriformer.mapping.tensors import changed, held
from veriformer.preflight import probe_case
from veriformer.subjects import Subject
from veriformer_spec.role import MODELS, Role

VOCAB = 31
LONGEST = 17
"""Words and positions: with d_model 24, heads 4 and d_ff 40 no two sizes coincide, nor do their multiples."""


def mapping_case(subject: Subject) -> Case:
    """The case at which parameters are told apart: sizes that no other is a multiple of, as many positions as there are rows.

    Raises:
        Unsupported: the subject refuses every configuration that was tried.
        SubjectError: it could not be built or called.
    """
    sizes = subject.declaration.sizes
    refusal: Unsupported | None = None
    for head_sizes in ((4, 6), (2, 8), (1, 16)):
        case = probe_case(subject, head_sizes=head_sizes)
        if "vocab" in SHOWN[subject.role]:
            case = dataclasses.replace(case, vocab=sizes.get("vocab", VOCAB))
        case = _lengthened(subject, case)
        try:
            subject.instance(case, random_weights=False)
        except Unsupported as error:
            refusal = error
        else:
            return case
    assert refusal is not None
    raise refusal


def _lengthened(subject: Subject, case: Case) -> Case:
    """As long as a table of positions has rows, where there is one."""
    tabled = subject.role in (*MODELS, Role.ENCODER, Role.DECODER, Role.TOKEN_EMBEDDING, Role.POSITIONAL_ENCODING)
    sizes = subject.declaration.sizes
    if not tabled or "q_len" in sizes:
        return case
    longest = min(sizes.get("max_len", LONGEST), LONGEST)
    same = case.k_len == case.q_len
    return dataclasses.replace(
        case, q_len=longest, k_len=longest if same else case.k_len, context=longest if case.context else 0
    )


def probe_inputs(subject: Subject, case: Case) -> Inputs:
    """The inputs: no masks; of ids, every word at least once."""
    inputs = subject.inputs(case)
    if subject.role not in MODELS and subject.role is not Role.TOKEN_EMBEDDING:
        return inputs

    def every_word(ids: Tensor, start: int) -> Tensor:
        words = max(case.vocab - 1, 1)
        order = torch.randperm(words, generator=generator(start))
        places = torch.arange(ids.numel()) % words
        return (order[places] + min(1, case.vocab - 1)).reshape(ids.shape).to(ids)

    tensors = tuple(every_word(each, 5 + index) for index, each in enumerate(inputs.tensors))
    context = inputs.context
    if subject.role is Role.ENCODER_DECODER:
        context = tuple(every_word(each, 9) for each in context)
    return dataclasses.replace(inputs, tensors=tensors, context=context)


@torch.no_grad()
def drawn(module: nn.Module, seed: int) -> None:
    """Fresh random weights, whatever stood there: nothing of what an initialiser or a training put there is left."""
    random = generator(1000 + seed)
    for each in held(module):
        size = 1.0 if each.is_vector else 1.0 / math.sqrt(max(each.tensor.shape[-2:]))
        value = torch.randn(each.shape, generator=random, dtype=torch.float64) * size
        each.tensor.data.copy_(value.float().to(each.tensor))
    changed(module)
