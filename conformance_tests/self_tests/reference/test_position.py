"""Position has witnesses of its own: rows derived by hand, and the equation in a loop of plain numbers."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from veriformer_reference import position
from veriformer_spec.config import Config

Agree = Callable[[Tensor, Tensor], None]
Draw = Callable[..., Tensor]
CPU = torch.device("cpu")


def table(*rows: list[float]) -> Tensor:
    """A table in float64."""
    return torch.tensor(rows, dtype=torch.float64)


def test_positions_count_from_zero() -> None:
    """Three positions are 0, 1, 2."""
    assert position.positions(3, CPU).tolist() == [0, 1, 2]


def test_golden_frequencies(assert_agree: Agree) -> None:
    """Of four features: 10000^0 = 1 and 10000^(-2/4) = 1/100; of three: 1 and 10000^(-2/3)."""
    assert_agree(position.frequencies(4, CPU), torch.tensor([1.0, 0.01], dtype=torch.float64))
    assert_agree(position.frequencies(3, CPU), torch.tensor([1.0, 10000 ** (-2 / 3)], dtype=torch.float64))


def test_golden_table(assert_agree: Agree) -> None:
    """Row 0 is sin 0, cos 0 in turns; row 1 is sin 1, cos 1, sin 1/100, cos 1/100."""
    expected = table([0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)])
    assert_agree(position.sinusoidal(2, 4, torch.float64, CPU), expected)


@pytest.mark.parametrize("d_model", [1, 2, 7, 24])
def test_sinusoidal_equals_a_loop(assert_agree: Agree, d_model: int) -> None:
    """Feature 2i is a sine and feature 2i + 1 its cosine, for even and odd d_model, one number at a time."""
    expected = [
        [(math.cos if f % 2 else math.sin)(p / 10000 ** ((f - f % 2) / d_model)) for f in range(d_model)]
        for p in range(64)
    ]
    assert_agree(position.sinusoidal(64, d_model, torch.float64, CPU), table(*expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_sinusoidal_is_rounded_once(dtype: torch.dtype) -> None:
    """In a narrow dtype the table is the exact one, rounded, even at positions that the dtype cannot count."""
    exact = position.sinusoidal(3000, 24, torch.float64, CPU)
    assert torch.equal(position.sinusoidal(3000, 24, dtype, CPU), exact.to(dtype))


def test_add(assert_agree: Agree) -> None:
    """Every row of the batch gets the same table, once."""
    x = torch.zeros(2, 2, 2, dtype=torch.float64)
    rows = table([1, 2], [3, 4])
    assert_agree(position.add(x, rows), torch.stack((rows, rows)))
    assert torch.equal(x, torch.zeros_like(x))


def test_look_up(assert_agree: Agree) -> None:
    """The first rows of the table, and one row too many is an error with a reason."""
    rows = table([1, 2], [3, 4], [5, 6])
    assert_agree(position.look_up(rows, 2), rows[:2])
    assert_agree(position.look_up(rows, 3), rows)
    with pytest.raises(ValueError, match="length=4 must be at most max_len=3"):
        position.look_up(rows, 4)


@pytest.mark.parametrize("d_model", [24, 25])
def test_sinusoidal_encoding(assert_agree: Agree, draw: Draw, d_model: int) -> None:
    """The module adds the table, and has no state."""
    encoding = position.SinusoidalEncoding(Config(d_model=d_model))
    x = draw(2, 5, d_model)
    assert_agree(encoding(x), x + position.sinusoidal(5, d_model, torch.float64, CPU))
    assert not encoding.state_dict()


def test_learned_encoding(assert_agree: Agree, draw: Draw) -> None:
    """The module adds its own rows; each row used gets a gradient of its own, and no other."""
    encoding = position.LearnedEncoding(Config(max_len=8)).double()
    x = draw(2, 5, 24)
    assert_agree(encoding(x), x + encoding.table[:5])
    encoding(x).sum().backward()
    assert {name: tuple(each.shape) for name, each in encoding.named_parameters()} == {"table": (8, 24)}
    assert encoding.table.grad is not None
    assert encoding.table.grad[:, 0].tolist() == [2.0] * 5 + [0.0] * 3  # two rows of the batch
    with pytest.raises(ValueError, match="length=9 must be at most max_len=8"):
        encoding(draw(2, 9, 24))


def test_the_claimed_encoding_is_made() -> None:
    """``as_claimed`` knows three names."""
    assert position.as_claimed("none", Config()) is None
    assert isinstance(position.as_claimed("sinusoidal", Config()), position.SinusoidalEncoding)
    assert isinstance(position.as_claimed("learned", Config()), position.LearnedEncoding)
