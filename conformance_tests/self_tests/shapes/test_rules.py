"""One line for each rule: what an operation gives, and what it refuses."""

from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import Run, run_mypy, write

HEAD = """
import math
import einops, torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from veriformer_shapes import reveal_shape

def check(
    x: Float[Tensor, "b t d"],
    q: Float[Tensor, "b h q k"],
    v: Float[Tensor, "b h k d"],
    r: Float[Tensor, "*n d"],
    w: Float[Tensor, "d e"],
    m: Bool[Tensor, "b t"],
    i: Int[Tensor, "b t"],
    one: Float[Tensor, "b 1 d"],
    six: Float[Tensor, "6 d"],
    wide: Float[Tensor, "b 3*d"],
    n: int,
    lin: nn.Linear,
    norm: nn.LayerNorm,
    emb: nn.Embedding,
) -> None:
"""

GIVES = {
    "x.transpose(1, 2)": "Float b d t",
    "x.transpose(-1, -2)": "Float b d t",
    "torch.transpose(x, dim0=0, dim1=2)": "Float d t b",
    "x.swapaxes(0, 1)": "Float t b d",
    "x.mT": "Float b d t",
    "w.T": "Float e d",
    "w.t()": "Float e d",
    "r.transpose(-1, -2)": "not known",
    "q.permute(0, 2, 1, 3)": "Float b q h k",
    "q.permute((3, 2, 1, 0))": "Float k q h b",
    "x.movedim(0, -1)": "Float t d b",
    "x.unsqueeze(1)": "Float b 1 t d",
    "x.unsqueeze(-1)": "Float b t d 1",
    "r.unsqueeze(-2)": "Float *n 1 d",
    "one.squeeze(1)": "Float b d",
    "one.squeeze()": "Float b d",
    "x.squeeze(1)": "Float b t d",
    "q @ v": "Float b h q d",
    "torch.matmul(x, w)": "Float b t e",
    "r @ w": "Float *n e",
    "torch.bmm(x, x.mT)": "Float b t t",
    "x + 1": "Float b t d",
    "x * (x.shape[-1] ** -0.5)": "Float b t d",
    "1 / x": "Float b t d",
    "x + w[0, 0]": "Float b t d",
    "x * one": "Float b t d",
    "x * m[:, :, None]": "Float b t d",
    "x / i.unsqueeze(-1)": "Float b t d",
    "i + 1.0": "Float b t",
    "i / 2": "Float b t",
    "i // 2": "Int b t",
    "x > 0": "Bool b t d",
    "x == x": "Bool b t d",
    "~m": "Bool b t",
    "-x": "Float b t d",
    "m & m": "Bool b t",
    "x.softmax(-1)": "Float b t d",
    "torch.log_softmax(x, dim=1)": "Float b t d",
    "F.softmax(x, -1)": "Float b t d",
    "x.masked_fill(~m[..., None], -math.inf)": "Float b t d",
    "torch.where(m[..., None], x, 0.0)": "Float b t d",
    "torch.cat([x, x], dim=1)": "Float b 2*t d",
    "torch.cat((x, one), 1)": "Float b t+1 d",
    "torch.stack([x, x])": "Float 2 b t d",
    "torch.stack([x, x], dim=-1)": "Float b t d 2",
    "six.split(2)[0]": "Float 2 d",
    "wide.split(x.size(-1), dim=-1)": "(Float b d, Float b d, Float b d)",
    "wide.chunk(3, dim=-1)[1]": "Float b d",
    "x.chunk(2, -1)[0]": "Float b t d//2",
    "x.split([1, 2], dim=1)": "(Float b 1 d, Float b 2 d)",
    "x.unbind(0)": "[Float t d, ...]",
    "six.unbind()[5]": "Float d",
    "x.sum()": "Float",
    "x.mean(-1)": "Float b t",
    "x.mean(dim=(0, 2))": "Float t",
    "x.sum(1, keepdim=True)": "Float b 1 d",
    "x.argmax(-1)": "Int64 b t",
    "x.max(dim=-1).values": "Float b t",
    "x.max(-1)[1]": "Int64 b t",
    "x.topk(5, dim=-1)[0]": "Float b t 5",
    "x.norm(dim=-1, keepdim=True)": "Float b t 1",
    "x.std(-1, keepdim=True)": "Float b t 1",
    "r.mean(-1, keepdim=True)": "Float *n 1",
    "m.any(-1)": "Bool b",
    "m.sum(-1)": "Int64 b",
    "x[0]": "Float t d",
    "x[:, -1]": "Float b d",
    "x[:, 1:]": "Float b t-1 d",
    "x[..., None]": "Float b t d 1",
    "x[:, None, :, 0]": "Float b 1 t",
    "x[m]": "Float ? d",
    "x[:, i[0]]": "Float b t d",
    "w[i]": "Float b t e",
    "r[..., 0]": "Float *n",
    "torch.einsum('bhqk,bhkd->bqhd', q, v)": "Float b q h d",
    "torch.einsum('...qk,...kd->...qd', q, v)": "Float b h q d",
    "einops.rearrange(q, 'b h q k -> b q (h k)')": "Float b q h*k",
    "einops.rearrange(x, 'b t (h k) -> b h t k', h=n)": "Float b n t d//n",
    "einops.reduce(x, 'b t d -> b d', 'max')": "Float b d",
    "einops.repeat(x, 'b t d -> b r t d', r=4)": "Float b 4 t d",
    "einops.einsum(q, v, 'b h q k, b h k d -> b q d')": "Float b q d",
    "x.view(x.shape[0], -1)": "Float b d*t",
    "x.reshape(*x.shape[:-1], n, -1)": "Float b t n d//n",
    "x.view(x.size(0), x.size(1), n, x.size(2) // n)": "Float b t n d//n",
    "q.flatten(1, 2)": "Float b h*q k",
    "x.unflatten(-1, (n, -1))": "Float b t n d//n",
    "r.reshape(-1, r.size(-1))": "Float *n d",
    "torch.zeros(x.shape[0], 4)": "Float b 4",
    "torch.ones(x.shape)": "Float b t d",
    "torch.ones(n, n, dtype=torch.bool).tril()": "Bool n n",
    "torch.arange(x.size(1))": "Int64 t",
    "torch.zeros_like(i)": "Int b t",
    "x.new_zeros(x.size(1))": "Float t",
    "torch.eye(n)": "Float n n",
    "F.scaled_dot_product_attention(q, q[:, :, :2], v[:, :, :2])": "Float b h q d",
    "F.linear(x, w.T)": "Float b t e",
    "lin(x)": "Float b t ?",
    "norm(x)": "Float b t d",
    "emb(i)": "Float b t ?",
    "nn.Dropout(0.1)(x)": "Float b t d",
    "x.float().half()": "Float16 b t d",
    "x.to(torch.int64)": "Int64 b t d",
    "x.expand(4, -1, -1, -1)": "Float 4 b t d",
    "x.repeat(2, 1, 1)": "Float 2*b t d",
    "x.repeat_interleave(3, dim=1)": "Float b 3*t d",
    "F.one_hot(i, 7)": "Int64 b t 7",
    "x.gather(1, i.unsqueeze(-1))": "Float b t 1",
    "x.shape": "(int b, int t, int d)",
    "x.shape[:2]": "(int b, int t)",
    "x.size(-1)": "int d",
    "x.numel()": "int b*d*t",
    "len(x)": "int b",
    "n * 2": "int 2*n",
    "(x, m)": "(Float b t d, Bool b t)",
    "[x for _ in range(3)]": "[Float b t d, ...]",
    "x if n else x.mT": "Float b ? ?",
    "something_else(x)": "not known",
    "x.unknown_method()": "not known",
}

REFUSES = {
    "q @ q": 'contracts axis "k" with "q"',
    "x + v": "do not broadcast",
    "x.transpose(1, 5)": "there is no axis 5",
    "x.permute(0, 1)": "is not an order of the 3 axes",
    "x.unsqueeze(7)": "no place 7",
    "x.masked_fill(m, 0)": 'axis "d" against "t"',
    "x.masked_fill(x, 0)": "the mask is Float; expected Bool",
    "torch.where(x, x, x)": "the condition is Float; expected Bool",
    "torch.cat([x, x.mT])": "Cat of",
    "torch.stack([x, m])": "differ in their rank",
    "x.view(x.size(0), x.size(1))": 'has b*d*t elements, "b t" has b*t',
    "x[0, 0, 0, 0]": "4 axes are indexed",
    "torch.einsum('bd,bd->b', x, x)": 'has 2 axes, the tensor is "b t d"',
    "torch.einsum('btd,bdt->b', x, x)": 'is both "d" and "t"',
    "einops.rearrange(x, 'b d -> d b')": "2 axes, the tensor is",
    "wide.split([1, x.size(-1)], dim=1)": "the sizes add up to",
    "F.linear(x, w)": 'the weight "d e" takes "e"',
    "F.scaled_dot_product_attention(q, v, v)": "contracts",
    "x.mean(3)": "there is no axis 3",
    "torch.bmm(x, q)": "has 4 axes, not 3",
    "x.expand(x.size(0), 4, 5, 6, 7)": "cannot become",
    "x.repeat(2)": "1 factors for the 3 axes",
    "emb(x)": "are Float; expected Int",
    "F.cross_entropy(i, x)": "are Int; expected Float",
    "torch.cat([x, x[:, 0, 0]])": "differ in their rank",
}


@pytest.fixture(scope="module")
def rules_run(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Run:
    folder = tmp_path_factory.mktemp("rules")
    lines = [f"    reveal_shape({expression})" for expression in [*GIVES, *REFUSES]]
    write(folder, rules=HEAD + "\n".join(lines) + "\n")
    return run_mypy(folder, "rules.py", cache=warm_cache)


def line_of(expression: str) -> int:
    return HEAD.count("\n") + 1 + [*GIVES, *REFUSES].index(expression)


@pytest.mark.parametrize("expression", GIVES)
def test_rule_gives(expression: str, rules_run: Run) -> None:
    line = line_of(expression)
    assert rules_run.notes()[line] == GIVES[expression]
    assert [found for found in rules_run.shapes if found.line == line] == []


@pytest.mark.parametrize("expression", REFUSES)
def test_rule_refuses(expression: str, rules_run: Run) -> None:
    texts = [found.text for found in rules_run.shapes if found.line == line_of(expression)]
    assert len(texts) == 1
    assert REFUSES[expression].lower() in texts[0].lower()
