"""Residual has witnesses of its own: a sublayer that doubles and a norm that adds ten."""

import torch
from torch import Tensor

from veriformer_reference import residual


def double(x: Tensor) -> Tensor:
    """A sublayer easy to follow."""
    return 2 * x


def add_ten(x: Tensor) -> Tensor:
    """A norm easy to follow, that commutes with nothing here."""
    return x + 10


def nothing(x: Tensor) -> Tensor:
    """A sublayer that returns zeros."""
    return torch.zeros_like(x)


ONE = torch.tensor([1.0])


def test_add() -> None:
    """The skip once, the sublayer once, and neither touched."""
    skip, output = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    assert residual.add(skip, output).tolist() == [11.0, 22.0]
    assert (skip.tolist(), output.tolist()) == ([1.0, 2.0], [10.0, 20.0])


def test_pre_norm() -> None:
    """At x = 1, x + 2 (x + 10) is 23."""
    assert residual.pre_norm(ONE, double, add_ten, rate=0.0, training=True).item() == 23
    assert residual.connect("pre", ONE, double, add_ten, rate=0.0, training=True).item() == 23


def test_post_norm() -> None:
    """At x = 1, (x + 2 x) + 10 is 13."""
    assert residual.post_norm(ONE, double, add_ten, rate=0.0, training=True).item() == 13
    assert residual.connect("post", ONE, double, add_ten, rate=0.0, training=True).item() == 13


def test_drop_in_training() -> None:
    """At rate 3/4 a one becomes zero, or 1 / (1 - 3/4) = 4; of 4096, about a quarter stay."""
    torch.manual_seed(1)
    dropped = residual.drop(torch.ones(4096), rate=0.75, training=True)
    assert set(dropped.tolist()) == {0.0, 4.0}
    # 1024 expected, standard deviation sqrt(4096 · 3/16) = 27.7: six of them is a chance of 2e-9.
    assert abs(int((dropped > 0).sum()) - 1024) < 6 * 27.8


def test_drop_in_evaluation() -> None:
    """In evaluation nothing is dropped, nor in training at rate 0."""
    x = torch.linspace(-1, 1, 64)
    assert torch.equal(residual.drop(x, rate=0.75, training=False), x)
    assert torch.equal(residual.drop(x, rate=0.0, training=True), x)


def test_dropout_spares_the_skip() -> None:
    """With sublayers that return zeros, dropout at 0.9 changes nothing: only the sublayer's output is dropped."""
    x = torch.linspace(1, 2, 64)
    assert torch.equal(residual.pre_norm(x, nothing, add_ten, rate=0.9, training=True), x)
    assert torch.equal(residual.post_norm(x, nothing, add_ten, rate=0.9, training=True), x + 10)


def test_dropout_falls_on_the_sublayer() -> None:
    """At rate 1/2 a sublayer's 2 becomes 0 or 4, and the skip's 1 stays: 1 or 5 before the norm."""
    torch.manual_seed(1)
    ones = torch.ones(64)
    assert set(residual.post_norm(ones, double, add_ten, rate=0.5, training=True).tolist()) == {11.0, 15.0}
    assert set(residual.pre_norm(ones, double, lambda x: x, rate=0.5, training=True).tolist()) == {1.0, 5.0}


def test_the_skip_survives_a_sublayer_in_place() -> None:
    """Nothing here writes in place: the caller's tensor holds what it held."""
    x = torch.linspace(1, 2, 8)
    before = x.clone()
    residual.pre_norm(x, double, add_ten, rate=0.5, training=True)
    residual.post_norm(x, double, add_ten, rate=0.5, training=True)
    assert torch.equal(x, before)
