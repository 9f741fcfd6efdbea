"""Rotary positions have witnesses of their own: complex numbers, and turns small enough to write down."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from veriformer_reference import rotary
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
CPU = torch.device("cpu")
PAIRINGS = ("halves", "adjacent")


def turned(x: Tensor, start: int = 0, **claims: object) -> Tensor:
    """The reference's answer in its role."""
    encoding = build(Role.ROTARY_ENCODING, Config(d_head=x.shape[-1], **claims))  # type: ignore[arg-type]  # claims of any type
    result: Tensor = encoding(x, start)
    return result


def complex_turn(x: Tensor, positions: Tensor, pairing: str, base: float) -> Tensor:
    """Each pair is a complex number, and its turn a multiplication by e^(i p θ)."""
    size = x.shape[-1] // 2
    pairs = x.reshape(*x.shape[:-1], size, 2) if pairing == "adjacent" else x.reshape(*x.shape[:-1], 2, size).mT
    frequencies = torch.tensor([base ** (-i / size) for i in range(size)], dtype=torch.float64)
    turn = torch.exp(1j * positions[:, None] * frequencies)
    product = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turn)
    return product.flatten(-2) if pairing == "adjacent" else product.mT.flatten(-2)


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("scaling", [1.0, 4.0])
def test_equals_a_multiplication_of_complex_numbers(
    draw: Draw, assert_agree: Agree, pairing: str, scaling: float
) -> None:
    """From any start, divided by the scaling."""
    x = draw(2, 3, 5, 8)
    expected = complex_turn(x, torch.arange(4, 9).double() / scaling, pairing, 100.0)
    assert_agree(turned(x, 4, rotary_pairing=pairing, rotary_scaling=scaling, rotary_base=100.0), expected)


def test_a_quarter_turn(assert_agree: Agree) -> None:
    """(1, 0) becomes (0, 1): counterclockwise, and the first position turns nothing."""
    x = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, 1, 2, 2)
    got = turned(x, rotary_scaling=2 / math.pi)
    assert_agree(got, torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]], dtype=torch.float64))


def test_pairs() -> None:
    """Halves are i and i + d_head/2; adjacent are 2i and 2i + 1; joining undoes it."""
    x = torch.arange(6.0)[None]
    halves, adjacent = rotary.pairs(x, "halves"), rotary.pairs(x, "adjacent")
    assert [each.tolist() for each in halves] == [[[0, 1, 2]], [[3, 4, 5]]]
    assert [each.tolist() for each in adjacent] == [[[0, 2, 4]], [[1, 3, 5]]]
    for pairing in PAIRINGS:
        assert torch.equal(rotary.join(*rotary.pairs(x, pairing), pairing), x)


def test_an_odd_size_raises() -> None:
    """One feature would have no partner."""
    with pytest.raises(ValueError, match="must be even"):
        rotary.frequencies(5, 100.0, CPU)


def test_every_row_may_have_positions_of_its_own(draw: Draw, assert_agree: Agree) -> None:
    """As where padding stands left in one row and right in another."""
    x, config = draw(2, 3, 4, 6), Config()
    got = rotary.rotate(x, torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]]), config)
    assert_agree(got[:1], turned(x[:1]))
    assert_agree(got[1:], turned(x[1:], 5))
