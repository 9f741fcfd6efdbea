"""Masking, tested: a sliding window."""

import dataclasses

import torch
from hypothesis.strategies import SearchStrategy

from veriformer.case import Case
from veriformer.masking_checks import (
    positions_follow_the_index,
    require_nothing_is_missing,
    require_nothing_leaks,
    require_same,
)
from veriformer.masks import reachable
from veriformer.outcome import NotChecked, Vacuous
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer_spec import masking

BEYOND = 4
"""Positions further than a window reaches that a sequence has at most."""


def longer_than_the_window(subject: Subject) -> SearchStrategy[Case]:
    """Cases with no mask but the subject's own, long enough that something lies behind the windows of all layers."""
    if "q_len" in subject.declaration.sizes:
        raise NotChecked("the subject fixes its length")
    longest = subject.declaration.sizes.get("max_len")

    def lengthened(case: Case) -> Case:
        reach = case.layers * (case.window - 1) + 1
        length = reach + 1 + case.seed % BEYOND
        length = length if longest is None else min(length, longest)
        return dataclasses.replace(case, q_len=length, k_len=length)

    return cases(batch=(1, 2), layers=(2, 2), sides=("self",), same_length=True)(subject).map(lengthened)


@checks(masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH, sentence="66bf446a", cases=longer_than_the_window, most=12)
def test_sliding_window_sees_exactly_its_width(subject: Subject, case: Case) -> None:
    """Each position sees itself and the width - 1 before it, layer after layer, and is what it is where the rest is cut off."""
    reach = case.layers * (case.window - 1) + 1
    if case.q_len <= reach:
        raise Vacuous("nothing lies behind the window")
    instance, inputs = subject.instance(case), subject.inputs(case)
    apart = torch.arange(case.q_len)[:, None] - torch.arange(case.q_len)
    seen = reachable(((apart >= 0) & (apart < case.window))[None], case.layers).expand(case.batch, -1, -1)
    words = f"a window of {case.window}, {case.layers} layers deep"
    require_nothing_leaks(instance, inputs, case, f"{words}: beyond the window is visible", visible=seen)
    require_nothing_is_missing(instance, inputs, case, f"{words}: within the window is not seen", visible=seen)
    if positions_follow_the_index(subject, inputs):
        return
    last = torch.arange(case.q_len - reach, case.q_len)
    require_same(
        instance, inputs, instance(inputs)[..., -1, :], instance(inputs.taking(last, last))[..., -1, :],
        f"{words}: the last output changes when what lies behind the window is cut off",
    )  # fmt: skip
