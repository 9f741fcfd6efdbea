"""Heads have witnesses of their own: small numbers split by hand, explicit loops, and nn.MultiheadAttention."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from veriformer_reference import attention, heads
from veriformer_spec.config import Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
IN_PROJECTION = ("query", "key", "value")


def module(config: Config) -> heads.MultiHeadAttention:
    """The reference in float64, its parameters the same in every run."""
    torch.manual_seed(7)
    return heads.MultiHeadAttention(config).double()


def test_golden_projection(assert_agree: Agree) -> None:
    """One row of the weight for each feature that comes out: (1, 2) by rows (3, 4), (5, 6), (7, 8) is 11, 17, 23."""
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    weight = torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], dtype=torch.float64)
    bias = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    plain = torch.tensor([[11.0, 17.0, 23.0]], dtype=torch.float64)
    assert_agree(heads.project(x, weight, None), plain)
    assert_agree(heads.project(x, weight, bias), plain + bias)


def test_golden_projection_back(assert_agree: Agree) -> None:
    """(1, 2, 3) by rows (1, 0, 1), (0, 2, 0) is 4, 4."""
    x = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]], dtype=torch.float64)
    plain = torch.tensor([[4.0, 4.0]], dtype=torch.float64)
    assert_agree(heads.project_back(x, weight, None), plain)
    assert_agree(heads.project_back(x, weight, torch.ones(2, dtype=torch.float64)), plain + 1)


def test_golden_split() -> None:
    """Two tokens (0 1 2 3) and (4 5 6 7) in two heads: head 0 gets 0 1 and 4 5, head 1 gets 2 3 and 6 7."""
    x = torch.arange(8.0).reshape(2, 4)
    assert heads.split(x, 2).tolist() == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]


def test_merge_undoes_split(draw: Draw) -> None:
    """What was split comes back bit for bit, with leading axes and without."""
    for x in (draw(5, 6), draw(2, 5, 6), draw(2, 3, 5, 6)):
        assert torch.equal(heads.merge(heads.split(x, 3)), x)


def test_golden_share() -> None:
    """Two key heads for four query heads are lent in order: 0 0 1 1."""
    key = torch.tensor([10.0, 20.0]).reshape(2, 1, 1)
    assert heads.share(key, 4).flatten().tolist() == [10, 10, 20, 20]
    assert heads.share(key, 2).flatten().tolist() == [10, 20]


def test_grouped_heads_equal_a_loop(assert_agree: Agree, draw: Draw) -> None:
    """Query head i attends to key/value head i // 3, one head at a time."""
    query, key, value = draw(2, 6, 5, 4), draw(2, 2, 7, 4), draw(2, 2, 7, 3)
    mask = draw(2, 6, 5, 7) > 0
    mask[..., 0] = True
    one_by_one = [attention.attention(query[:, i], key[:, i // 3], value[:, i // 3], mask[:, i]) for i in range(6)]
    assert_agree(heads.attend(query, key, value, mask), torch.stack(one_by_one, dim=1))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_equals_torch(assert_agree: Agree, draw: Draw, bias: bool, causal: bool) -> None:
    """nn.MultiheadAttention with the same weights agrees, with a padding mask, between two sequences."""
    own = module(Config(bias=bias, causal=causal))
    theirs = nn.MultiheadAttention(24, 4, bias=bias, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([getattr(own, name).weight for name in IN_PROJECTION]))
        theirs.out_proj.weight.copy_(own.output.weight)
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([getattr(own, name).bias for name in IN_PROJECTION]))
            assert own.output.bias is not None
            theirs.out_proj.bias.copy_(own.output.bias)
    query, memory = draw(2, 5, 24), draw(2, 5, 24)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    hidden_future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None  # torch: True hides
    expected, _ = theirs(query, memory, memory, key_padding_mask=~real, attn_mask=hidden_future)
    assert_agree(own(query, memory, real[:, None, None, :]), expected)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("scale", ["inverse-root", "none", "folded", "unspecified", 0.2])
def test_equals_the_sum_over_heads(assert_agree: Agree, draw: Draw, kv_heads: int, scale: str | float) -> None:
    """The sum over heads of softmax(Qᵢ Kᵢᵀ · scale) Vᵢ Wᴼᵢ, written with slices and exponentials alone."""
    config = Config(kv_heads=kv_heads, scale=scale)
    own = module(config)
    factor = {"inverse-root": 1 / math.sqrt(6), "unspecified": 1 / math.sqrt(6), "none": 1, "folded": 1, 0.2: 0.2}[
        scale
    ]
    query, memory = draw(2, 5, 24), draw(2, 7, 24)
    state = own.state_dict()
    q = query @ state["query.weight"].T + state["query.bias"]
    k = memory @ state["key.weight"].T + state["key.bias"]
    v = memory @ state["value.weight"].T + state["value.bias"]
    expected = state["output.bias"].repeat(2, 5, 1)
    for head in range(4):
        mine = slice(6 * head, 6 * head + 6)
        group = head // (4 // kv_heads)
        lent = slice(6 * group, 6 * group + 6)
        odds = (torch.einsum("bqd,bkd->bqk", q[..., mine], k[..., lent]) * factor).exp()
        weights = odds / odds.sum(-1, keepdim=True)
        expected = expected + weights @ v[..., lent] @ state["output.weight"][:, mine].T
    assert_agree(own(query, memory), expected)


def test_memory_claim(assert_agree: Agree, draw: Draw) -> None:
    """Where self-attention is claimed, keys and values come from the query input whatever the memory holds."""
    own, itself = module(Config()), module(Config(memory="query"))
    query, memory = draw(2, 5, 24), draw(2, 5, 24)
    assert_agree(itself(query, memory), own(query, query))
    assert not torch.allclose(own(query, memory), own(query, query))


def test_nothing_visible_gives_the_output_bias(assert_agree: Agree, draw: Draw) -> None:
    """A query that sees nothing gets zeros from every head, so the projection's bias; gradients stay finite."""
    own = module(Config())
    x = draw(2, 5, 24).requires_grad_()
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[0, :, 3] = False
    got = own(x, x, mask)
    assert own.output.bias is not None
    assert_agree(got[0, 3], own.output.bias)
    others = [0, 1, 2, 4]
    assert_agree(got[0, others], own(x, x)[0, others])
    got.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in own.parameters())


def test_parameter_names() -> None:
    """Adapters map to these names and shapes, so they are permanent."""
    shapes = {name: tuple(each.shape) for name, each in module(Config(kv_heads=2)).named_parameters()}
    assert shapes == {
        "query.weight": (24, 24),
        "query.bias": (24,),
        "key.weight": (12, 24),
        "key.bias": (12,),
        "value.weight": (12, 24),
        "value.bias": (12,),
        "output.weight": (24, 24),
        "output.bias": (24,),
    }
    bare = {name for name, _ in module(Config(bias=False)).named_parameters()}
    assert bare == {"query.weight", "key.weight", "value.weight", "output.weight"}
