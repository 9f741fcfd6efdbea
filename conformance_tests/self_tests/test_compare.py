"""compare: equal where nothing changed, within rounding where only the order of sums did, and the point where they part elsewhere."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import veriformer
from self_tests.compared import Layer, bare, declared
from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.result import Likeness
from veriformer.comparison.watching import trail
from veriformer.errors import UsageError
from veriformer.outcome import SubjectError

EITHER_WAY = pytest.mark.parametrize("hand", [declared, bare])
Hand = Callable[..., Any]


@EITHER_WAY
@pytest.mark.parametrize(
    ("changes", "point"),
    [
        ({"eps": 1e-6}, "norm1: native_layer_norm"),
        ({"eps": 1e-6, "by_hand": True}, "norm1: native_layer_norm"),
        ({"approximate": "tanh"}, "ff.1: gelu"),
        ({"fill": -1e9}, "attn: masked_fill"),
        ({"fill": -1e4}, "attn: masked_fill"),
    ],
    ids=["epsilon", "epsilon-by-hand", "gelu-tanh", "fill-1e9", "fill-1e4"],
)
def test_one_subtle_change_is_found_and_located(hand: Hand, changes: dict[str, Any], point: str) -> None:
    """Whether the two declare what they are, or not."""
    found = veriformer.compare(hand(), hand(**changes))
    assert found.likeness is Likeness.DIFFERS
    assert found.exit_code == 1
    assert found.parting is not None
    assert found.parting.at == point
    assert found.parting.after
    assert found.parting.difference > 0
    assert found.parting.old != found.parting.new
    assert found.case


@EITHER_WAY
@pytest.mark.parametrize(
    ("changes", "likeness"),
    [
        ({}, {Likeness.EQUAL}),
        ({"einsum": True}, {Likeness.EQUAL, Likeness.WITHIN_ROUNDING}),
        ({"fused": False}, {Likeness.EQUAL, Likeness.WITHIN_ROUNDING}),
        ({"by_hand": True}, {Likeness.WITHIN_ROUNDING}),
        ({"fused": False, "einsum": True, "by_hand": True}, {Likeness.WITHIN_ROUNDING}),
    ],
    ids=["nothing", "einsum", "three-linears", "norm-by-hand", "all"],
)
def test_a_pure_refactoring_is_equal(hand: Hand, changes: dict[str, Any], likeness: set[Likeness]) -> None:
    """Bit for bit, or within rounding; and the other way round."""
    assert veriformer.compare(hand(), hand(**changes)).likeness in likeness
    assert veriformer.compare(hand(**changes), hand()).likeness in likeness


def test_a_fill_that_is_too_small_shows_where_scores_are_large() -> None:
    """-1e4 hides nothing from scores of a million, and -1e9 does; both differ where a query sees nothing."""
    small, large = (veriformer.compare(declared(), declared(fill=fill)).by_call for fill in (-1e4, -1e9))
    assert "large scores" in small
    assert "large scores" not in large
    assert "one row all padded" in small
    assert set(large) <= {"one row all padded", "one row all padded, gradients"}


def test_the_point_has_the_specification_s_name_where_the_weights_are_understood() -> None:
    """And the report says it on one screen."""
    found = veriformer.compare(declared(), declared(approximate="tanh"))
    assert found.parting is not None
    assert found.parting.named == "feed_forward: the activation"
    said = str(found)
    assert "they part at feed_forward: the activation" in said
    assert "smallest  batch=1 q_len=1" in said
    assert len(said.splitlines()) < 40


def test_other_names_in_another_kernel_are_understood() -> None:
    """Names, order and shapes tell nothing: the mapping does. Only where nothing is visible a kernel gives zeros for NaN."""

    class Rewritten(nn.Module):
        def __init__(self, d_model: int, heads: int, d_ff: int) -> None:
            super().__init__()
            self.heads = heads
            self.last, self.down, self.up = nn.LayerNorm(d_model), nn.Linear(d_ff, d_model), nn.Linear(d_model, d_ff)
            self.c, self.o, self.b, self.a = (nn.Linear(d_model, d_model) for _ in range(4))
            self.first = nn.LayerNorm(d_model)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
            q, k, v = (each(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (self.a, self.b, self.c))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = self.first(x + self.o(seen.transpose(1, 2).flatten(2)))
            return self.last(x + self.down(nn.functional.gelu(self.up(x))))

    def build(config: veriformer.Config) -> nn.Module:
        return Rewritten(config.d_model, config.heads, config.d_ff)

    found = veriformer.compare(declared(), build)
    assert "understood" in found.state
    assert all(call.startswith("one row all padded") for call in found.by_call)


def test_names_that_say_nothing_are_refused_and_converted() -> None:
    """A guess that is wrong would be told as a difference of the code."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.v, self.k, self.q = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: Tensor) -> Any:
            return (self.q(x) @ self.k(x).mT).softmax(-1) @ self.v(x)

    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wq, self.wk, self.wv = (nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: Tensor) -> Any:
            return (self.wq(x) @ self.wk(x).mT).softmax(-1) @ self.wv(x)

    with pytest.raises(UsageError, match="convert"):
        veriformer.compare(One(), Other())
    found = veriformer.compare(One(), Other(), convert=lambda state: {f"w{name}": each for name, each in state.items()})
    assert found.likeness is Likeness.EQUAL
    with pytest.raises(UsageError, match="the function that converts"):
        veriformer.compare(One(), Other(), convert=dict)


def test_instances_keep_their_weights_and_differences_are_told() -> None:
    """Two instances of one class with other weights: the same function, and the parameters that differ by name."""
    one, other = Layer(24, 4, 40), Layer(24, 4, 40)
    before = copy.deepcopy(other.state_dict())
    found = veriformer.compare(one, other)
    assert found.likeness is Likeness.EQUAL
    assert any("attn.qkv.weight holds other values" in each for each in found.state_differences)
    assert all(torch.equal(before[name], each) for name, each in other.state_dict().items())
    sized = veriformer.Fixed(d_model=24, heads=4, d_ff=40)
    assert veriformer.compare(one, other, role="encoder-layer", sizes=sized).likeness is Likeness.EQUAL


def test_a_buffer_that_differs_between_builds_is_a_difference() -> None:
    """Copying the state would hide a table that was made otherwise."""

    class Placed(nn.Module):
        def __init__(self, base: float) -> None:
            super().__init__()
            self.table: Tensor
            self.register_buffer("table", base ** torch.linspace(0, 1, 24))

        def forward(self, x: Tensor) -> Any:
            return x * self.table

    found = veriformer.compare(lambda: Placed(10_000), lambda: Placed(500_000))
    assert found.likeness is Likeness.DIFFERS
    assert found.state_differences[0].startswith("buffer table holds other values")


@dataclasses.dataclass
class Outputs:
    """What some libraries return."""

    hidden: Tensor
    loss: Tensor | None = None


@pytest.mark.parametrize("kind", ["dict", "tuple", "dataclass"])
def test_outputs_of_several_parts_are_compared_part_by_part(kind: str) -> None:
    """None is a part, too; and another structure is a difference."""

    class Several(nn.Module):
        def __init__(self, eps: float = 1e-5) -> None:
            super().__init__()
            self.table, self.norm = nn.Embedding(11, 8), nn.LayerNorm(8, eps=eps)

        def forward(self, ids: Tensor) -> Any:
            hidden = self.norm(self.table(ids))
            parts = {
                "dict": {"hidden": hidden, "loss": None},
                "tuple": (hidden, None, (hidden,)),
                "dataclass": Outputs(hidden),
            }
            return parts[kind]

    assert veriformer.compare(Several(), Several()).likeness is Likeness.EQUAL
    found = veriformer.compare(Several(), Several(1e-3))
    assert found.likeness is Likeness.DIFFERS
    assert "ids below 11" in " ".join(found.notes)

    class Bare(Several):
        def forward(self, ids: Tensor) -> Any:
            return self.norm(self.table(ids))

    assert "OLD returns" in veriformer.compare(Several(), Bare()).differing[0].reason


def test_functions_are_compared_on_an_example() -> None:
    """Without parameters there is no state; without an example there is nothing to pass."""

    def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT).softmax(-1) @ v

    def summed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("bqk,bkd->bqd", torch.einsum("bqd,bkd->bqk", q, k).softmax(-1), v)

    def scaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.mT / 2).softmax(-1) @ v

    example = (torch.randn(2, 3, 4),) * 3
    assert veriformer.compare(plain, summed, example=example).likeness is not Likeness.DIFFERS
    found = veriformer.compare(plain, scaled, example=lambda: example)
    assert found.likeness is Likeness.DIFFERS
    assert found.parting is not None
    with pytest.raises(UsageError, match="the example is a str"):
        veriformer.compare(plain, summed, example="x")


def test_float32_inside_is_no_difference_and_hides_none() -> None:
    """A refactoring of code that computes in float32 is within its rounding; another epsilon is found all the same."""

    class Norm(nn.Module):
        def __init__(self, eps: float = 1e-6, *, other: bool = False) -> None:
            super().__init__()
            self.weight, self.eps, self.other = nn.Parameter(torch.ones(24)), eps, other

        def forward(self, x: Tensor) -> Any:
            y = x.float()
            if self.other:
                return (y / torch.sqrt((y * y).sum(-1, keepdim=True) / 24 + self.eps)).to(x.dtype) * self.weight
            return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight

    found = veriformer.compare(Norm(), Norm(other=True))
    assert found.likeness is Likeness.WITHIN_ROUNDING
    assert "float32 inside" in found.notes[-1]
    assert veriformer.compare(Norm(), Norm(1e-5)).likeness is Likeness.DIFFERS


def test_a_kernel_that_forgets_gradients_differs() -> None:
    """What comes out is the same, and nothing flows back."""

    class Detached(nn.Linear):
        def forward(self, input: Tensor) -> Any:  # noqa: A002  # the name that nn.Linear has
            return nn.functional.linear(input.detach(), self.weight, self.bias)

    found = veriformer.compare(nn.Linear(8, 8), Detached(8, 8))
    assert set(found.by_call) and all(call.endswith(", gradients") for call in found.by_call)


def test_a_module_and_its_compiled_self() -> None:
    """The backend that only captures the graph is quick; the inside cannot be watched."""
    module = Layer(24, 4, 40)
    assert veriformer.compare(module, torch.compile(module, backend="eager")).likeness is Likeness.EQUAL


def test_both_raising_alike_is_told_and_one_raising_differs() -> None:
    """A call that only NEW refuses is a difference."""

    class Picky(nn.Linear):
        def forward(self, input: Tensor) -> Any:  # noqa: A002  # as above
            if input.shape[1] == 1:
                raise ValueError("one token is not enough")
            return super().forward(input)

    found = veriformer.compare(nn.Linear(8, 8), Picky(8, 8))
    assert "one token" in found.by_call
    assert "one token is not enough" in found.differing[0].reason
    assert veriformer.compare(Picky(8, 8), Picky(8, 8)).likeness is Likeness.EQUAL


def test_what_cannot_be_compared_is_refused() -> None:
    """In one line each."""
    with pytest.raises(UsageError, match="OLD is a int"):
        veriformer.compare(3, 4)
    with pytest.raises(UsageError, match="no inputs were found"):
        veriformer.compare(nn.Bilinear(3, 4, 5), nn.Bilinear(3, 4, 5))
    with pytest.raises(UsageError, match="need a role"):
        veriformer.compare(bare(), bare(), norm="pre")
    with pytest.raises(UsageError, match="only one role"):
        veriformer.compare(declared(), veriformer.subject("layer-norm")(lambda config: nn.LayerNorm(config.d_model)))
    with pytest.raises(UsageError, match="needs wide"):
        veriformer.compare(NeedsMore, NeedsMore)
    with pytest.raises(SubjectError, match="ZeroDivisionError"):
        veriformer.compare(bare(), lambda config: 1 / 0)
    assert veriformer.compare(NeedsMore, NeedsMore, options={"wide": 4}).likeness is Likeness.EQUAL


class NeedsMore(nn.Module):
    """A class whose argument no config has."""

    def __init__(self, wide: int) -> None:
        super().__init__()
        self.linear = nn.Linear(wide, wide)

    def forward(self, x: Tensor) -> Any:
        return self.linear(x)


def test_every_tensor_is_watched_with_its_module() -> None:
    """A disturbed one changes what depends on it, and nothing else."""
    module = Layer(24, 4, 40).double().eval()
    call = Call("plain", (torch.randn(1, 3, 24, dtype=torch.float64),))
    made = Made("it", module, module)
    seen = trail(made, call, Setting(torch.float64)).steps
    norm = next(step for step in seen if step.operation == "native_layer_norm")
    assert norm.path == "norm1"
    other = trail(made, call, Setting(torch.float64), disturbed=norm.order).steps
    assert all(torch.equal(a.values, b.values) for a, b in zip(seen[: norm.order], other, strict=False))
    assert not torch.equal(seen[-1].values, other[-1].values)


def test_heads_that_are_merged_wrongly_are_located_though_their_numbers_are_all_there() -> None:
    """The same numbers in another order are others."""

    class Merged(nn.Module):
        def __init__(self, d_model: int, heads: int, *, wrong: bool) -> None:
            super().__init__()
            self.heads, self.wrong = heads, wrong
            self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
            q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, -1))
            seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            return self.out(seen.reshape(x.shape) if self.wrong else seen.transpose(1, 2).reshape(x.shape))

    def build(*, wrong: bool) -> Hand:
        def built(config: veriformer.Config) -> nn.Module:
            return Merged(config.d_model, config.heads, wrong=wrong)

        return veriformer.subject("multi-head-attention", memory="query")(
            lambda config: (built(config), lambda module, query, memory, mask=None: module(query, mask))
        )

    found = veriformer.compare(build(wrong=False), build(wrong=True))
    assert found.parting is not None
    assert found.parting.named == "the merged heads"
