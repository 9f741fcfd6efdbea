"""Masking, tested: fewer causal queries than keys."""

import dataclasses

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from veriformer import perturbation
from veriformer.case import Case
from veriformer.inputs import Inputs, generator
from veriformer.masking_checks import require_nothing_is_missing, require_nothing_leaks, require_same
from veriformer.outcome import NotChecked, SubjectError, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer_spec import masking

MOST_BEFORE = 3
"""Keys by which there are more of them than queries."""


def fewer_queries_than_keys(subject: Subject) -> SearchStrategy[Case]:
    """Causal cases with one to three keys more than queries."""
    if {"q_len", "k_len"} & subject.declaration.sizes.keys():
        raise NotChecked("the subject fixes its lengths")

    @st.composite
    def longer(draw: DrawFn) -> Case:
        case = draw(cases(q_len=(1, 4), masks=("none", "padding"))(subject))
        return dataclasses.replace(case, k_len=case.q_len + draw(st.integers(1, MOST_BEFORE), label="more"))

    return longer()


@checks(masking.FEWER_QUERIES_THAN_KEYS_ALIGN_AS_CLAIMED, sentence="bbe2aecc", cases=fewer_queries_than_keys, most=12)
def test_fewer_queries_than_keys_align_as_claimed(subject: Subject, case: Case) -> None:
    """Each query sees the keys up to its own, counted from the claimed side; as many queries as keys say the same."""
    alignment = subject.claims["alignment"]
    instance, inputs = subject.instance(case), subject.inputs(case)
    if subject.windowed:
        inputs = inputs.with_mask(None)  # the first key, which every mask shows, may lie behind the window
    ahead = case.k_len - case.q_len if alignment == "end" else 0
    apart = torch.arange(case.q_len)[:, None] + ahead - torch.arange(case.k_len)
    seen = (apart >= 0) & (apart < (case.window if subject.windowed else case.k_len))
    seen = seen.expand(case.batch, -1, -1) if inputs.mask is None else seen & inputs.mask[:, 0].cpu()
    words = f"{case.q_len} queries with {case.k_len} keys, aligned at the {alignment}"
    try:
        got = instance(inputs)
    except SubjectError as error:
        if error.origin != "call":
            raise
        raise Violation(f"{words}, are refused: {error}") from error
    require_nothing_leaks(instance, inputs, case, f"{words}: a later key is visible", visible=seen)
    require_nothing_is_missing(instance, inputs, case, f"{words}: an earlier key is not seen", visible=seen)
    as_many, queries = with_as_many_queries(inputs, ahead, case.seed)
    require_same(
        instance,
        inputs,
        got,
        instance(as_many)[..., queries, :],
        f"{words}: the output is not that of as many queries as keys",
    )


def with_as_many_queries(inputs: Inputs, ahead: int, seed: int) -> tuple[Inputs, slice]:
    """A call in which alignment means nothing, and where its queries stand: others put ``ahead`` of them, or later keys left out."""
    if not ahead:
        return inputs.taking(torch.arange(inputs.q_len)), slice(None)
    query = inputs.tensors[0]
    others = perturbation.fresh_like(query[..., :1, :].expand(*query.shape[:-2], ahead, -1), generator(seed + 1))
    mask = inputs.mask
    if mask is not None:
        mask = torch.cat([mask[..., :1, :].expand(-1, -1, ahead, -1), mask], dim=-2)
    longer = dataclasses.replace(inputs, tensors=(torch.cat([others, query], dim=-2), *inputs.tensors[1:]), mask=mask)
    return longer, slice(ahead, None)
