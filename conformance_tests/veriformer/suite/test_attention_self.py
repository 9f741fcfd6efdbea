"""Attention, tested: plain self-attention, the first step of every tutorial."""

import math

import torch
from torch import Tensor

from veriformer.alternatives import factor
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.masking_checks import PATHS, require_same
from veriformer.outcome import NotChecked, Vacuous
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer_spec import attention

EVERY_MASK = ("none", "arbitrary", "padding", "causal")


def by_the_equation(inputs: Inputs, heads: int, scale: float) -> Tensor:
    """softmax(Xᵢ Xᵢᵀ · scale) Xᵢ in a loop over sequences, heads and queries, each head's features side by side."""
    x = inputs.tensors[0].double().cpu()
    visible = inputs.visible()
    size = x.shape[-1] // heads
    output = torch.zeros_like(x)
    for row in range(x.shape[0]):
        for head in range(heads):
            own = x[row, :, head * size : (head + 1) * size]
            for query in range(x.shape[1]):
                seen = own[visible[row, query]]
                scores = (seen * own[query]).sum(-1) * scale
                shares = torch.exp(scores - scores.max())
                found = (shares[:, None] * seen).sum(0) / shares.sum()
                output[row, query, head * size : (head + 1) * size] = found
    return output


@checks(
    attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,
    sentence="9e3d04f0",
    cases=cases(heads=(1, 4), masks=EVERY_MASK),
)
def test_self_attention_equals_its_equation(subject: Subject, case: Case) -> None:
    """One head and several, with every kind of mask: a loop over heads and queries gives the same output."""
    if subject.claims["scale"] == "unspecified":
        raise NotChecked("no scale is claimed, so the equation cannot say what comes out")
    instance, inputs = subject.instance(case), subject.inputs(case)
    expected = by_the_equation(inputs, case.heads, factor(instance))
    for grad in PATHS:
        require_same(
            instance, inputs, instance(inputs, grad=grad), expected,
            f"the output is not softmax(X Xᵀ · {factor(instance):.6g}) X of each head's features{other_scale(inputs, case, instance(inputs), factor(instance))}",
        )  # fmt: skip


def other_scale(inputs: Inputs, case: Case, got: Tensor, claimed: float) -> str:
    """What to add where another usual scale gives what was seen: a legal alternative is not a bug."""
    for name, scale in (
        ("none", 1.0),
        ("inverse-root", case.d_head**-0.5),
        (f"{case.d_model**-0.5:.6g}", case.d_model**-0.5),
    ):
        seen = by_the_equation(inputs, case.heads, scale)
        if (
            scale != claimed
            and got.shape == seen.shape
            and bool((got.cpu() - seen).abs().max() <= 1e-9 * seen.abs().max())
        ):
            return f": it behaves as scale={name}"
    return ""


@checks(
    attention.SELF_ATTENTION_EQUALS_ITS_EQUATION,
    sentence="9e3d04f0",
    cases=cases(q_len=(2, 5), d_head=(5, 8), heads=(1, 3)),
)
def test_self_attention_by_counting(subject: Subject, case: Case) -> None:
    """Tokens that stand at right angles: each keeps n parts of itself for one of every other, where its score is ln n."""
    if subject.claims["scale"] == "unspecified":
        raise NotChecked("no scale is claimed, so no score can be set")
    if case.q_len > case.d_head:
        raise Vacuous("more tokens than directions at right angles")
    instance, inputs = subject.instance(case), subject.inputs(case)
    parts = 2 + case.seed % 5
    length = math.sqrt(math.log(parts) / factor(instance))
    corner = torch.eye(case.q_len, case.d_head, dtype=torch.float64) * length
    tokens = corner.repeat(1, case.heads).expand(case.batch, -1, -1).contiguous()
    inputs = inputs.with_queries(tokens.to(inputs.tensors[0]))
    seen = inputs.visible()[0].double()
    shares = seen * (1 + (parts - 1) * torch.eye(case.q_len, dtype=torch.float64))
    expected = (shares / shares.sum(-1, keepdim=True)) @ tokens
    require_same(
        instance, inputs, instance(inputs), expected,
        f"{case.q_len} tokens at right angles, with a score of ln {parts} for themselves: the output does not hold {parts} parts of "
        "the token itself and one of every other",
    )  # fmt: skip
