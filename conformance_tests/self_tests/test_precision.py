"""The precision-leak watch finds every island, and takes no mask for one."""

# mypy: ignore-errors
# Subjects as users write them: without types.

import math

import pytest
import torch
from torch import nn

from veriformer.precision import LeakWatch, Widening, rounded_buffers

X = torch.randn(2, 3, 4, dtype=torch.float64)
TABLE = torch.randn(3, 4)
MASK = torch.ones(3, 3, dtype=torch.bool).tril()

LEAKS = {
    "a float() before the softmax": lambda x: x.float().softmax(-1).double(),
    "scores in half": lambda x: (x.half() @ x.half().mT).double(),
    "a float32 table in a plain attribute": lambda x: x + TABLE,
    "a float32 number without axes": lambda x: x * torch.tensor(1 / math.sqrt(6)),
    "angles in float32": lambda x: x + torch.sin(torch.arange(3.0))[:, None],
    "a norm in bfloat16": lambda x: x / x.bfloat16().pow(2).mean(-1, keepdim=True).sqrt(),
}
CLEAN = {
    "nothing": lambda x: (x @ x.mT).softmax(-1) @ x,
    "a mask of float32 ones": lambda x: (x @ x.mT).masked_fill(torch.tril(torch.ones(3, 3)) == 0, -math.inf),
    "a mask multiplied by minus a billion": lambda x: x @ x.mT + (1 - MASK.float()) * -1e9,
    "a mask of the smallest float32 numbers": lambda x: (
        x @ x.mT + torch.where(MASK, 0.0, torch.finfo(torch.float32).min)
    ),
    "whole numbers in float32": lambda x: x * torch.arange(4, dtype=torch.float32),
    "halves in float32": lambda x: x * torch.tensor([0.5, 1.5, 2.0, 0.25]),
    "a mask rounded to float32": lambda x: x @ x.mT + torch.where(MASK, 0.0, -1e30).double().float(),
}


@pytest.mark.parametrize("run", LEAKS.values(), ids=LEAKS)
def test_an_island_is_found(run):
    with LeakWatch() as watch:
        run(X)
    assert watch.leaks


@pytest.mark.parametrize("run", CLEAN.values(), ids=CLEAN)
def test_what_is_exact_is_no_leak(run):
    with LeakWatch() as watch:
        run(X)
    assert watch.leaks == []


def test_rounded_buffers_are_found_and_whole_numbers_are_not():
    module = nn.Module()
    module.register_buffer("angles", torch.sin(torch.arange(5.0)).double())
    module.register_buffer("positions", torch.arange(5.0).double())
    module.register_buffer("exact", torch.sin(torch.arange(5, dtype=torch.float64)))
    module.frozen = nn.Parameter(torch.rand(3).double(), requires_grad=False)
    assert rounded_buffers(module) == ["angles", "frozen"]


def test_widening_makes_an_island_exact():
    def run(x):
        return x.float().softmax(-1).to(torch.float64)

    with Widening():
        wide = run(X)
    assert torch.equal(wide, X.softmax(-1))
    assert not torch.equal(run(X), X.softmax(-1))
