"""Training has witnesses of its own: numbers by hand, and PyTorch's own loss and dropout."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from veriformer_reference import training
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

IDS = torch.tensor([[1, 4, 2, 0], [3, 3, 0, 0]])
REAL = IDS != 0


def test_drop() -> None:
    """At rate 3/4 what is kept is multiplied by four; at rate 1 nothing is, and no infinity arises."""
    x, kept = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True])
    assert training.drop(x, kept, 0.75).tolist() == [4.0, 0.0, 12.0]
    assert training.drop(x, torch.zeros(3, dtype=torch.bool), 1.0).tolist() == [0.0, 0.0, 0.0]


def test_draw_kept() -> None:
    """Rate 0 keeps everything, rate 1 nothing, rate 3/4 about a quarter, drawn for each feature alone."""
    x = torch.ones(64, 64)
    assert training.draw_kept(x, 0.0).all()
    assert not training.draw_kept(x, 1.0).any()
    torch.manual_seed(1)
    kept = training.draw_kept(x, 0.75)
    # 1024 expected, standard deviation sqrt(4096 · 3/16) = 27.7: six of them is a chance of 2e-9.
    assert abs(int(kept.sum()) - 1024) < 6 * 27.8
    assert not kept.all(dim=0).any()
    assert not kept.all(dim=1).any()


def test_dropout_equals_torch_in_distribution() -> None:
    """In training zeros and scaled values, as ``torch.nn.Dropout`` has them; in evaluation the input itself."""
    module = build(Role.DROPOUT, Config(dropout=0.5))
    assert isinstance(module, nn.Module)
    x = torch.ones(2, 8, 24)
    assert set(module.train()(x).unique().tolist()) == set(nn.Dropout(0.5)(x).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(module.eval()(x), x)


def test_shift() -> None:
    """Three logits meet the three ids that follow them."""
    logits = torch.arange(2 * 4 * 5.0).reshape(2, 4, 5)
    shifted, ids, mask = training.shift(logits, IDS, REAL)
    assert torch.equal(shifted, logits[:, :3])
    assert ids.tolist() == [[4, 2, 0], [3, 0, 0]]
    assert mask.tolist() == [[True, True, False], [True, False, False]]


def test_log_probabilities() -> None:
    """Of logits 0 and log 3: 1/4 and 3/4; and no infinity where a probability underflows."""
    got = training.log_probabilities(torch.tensor([0.0, math.log(3)], dtype=torch.float64)).exp()
    assert got.tolist() == pytest.approx([0.25, 0.75])
    assert training.log_probabilities(torch.tensor([0.0, 2000.0])).tolist() == [-2000.0, 0.0]


@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("shifts", [True, False])
def test_the_loss_equals_torch(
    draw: Callable[..., Tensor], assert_agree: Callable[[Tensor, Tensor], None], share: float, shifts: bool
) -> None:
    """``torch.nn.functional.cross_entropy`` with ``ignore_index`` is the second witness, of "all-classes" too."""
    logits = draw(2, 4, 5)
    got = training.loss(logits, IDS, REAL, Config(label_smoothing=share, shifts=shifts))
    theirs, ids = (logits[:, :-1], IDS[:, 1:]) if shifts else (logits, IDS)
    expected = functional.cross_entropy(
        theirs.reshape(-1, 5), ids.reshape(-1), ignore_index=0, label_smoothing=share, reduction="mean"
    )
    assert_agree(got, expected)


def test_smoothed_targets() -> None:
    """0.2 over four classes is 0.05 for each, over the three others 0.0667."""
    like = torch.zeros(1, 4, dtype=torch.float64)
    target = torch.tensor([2])
    everywhere = training.smoothed_targets(target, like, 0.2, "all-classes")
    assert everywhere[0].tolist() == pytest.approx([0.05, 0.05, 0.85, 0.05])
    others = training.smoothed_targets(target, like, 0.3, "other-classes")
    assert others[0].tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1])
    alone = training.smoothed_targets(torch.tensor([0]), like[:, :1], 0.0, "other-classes")
    assert alone.tolist() == [[1.0]]


def test_an_impossible_class_costs_nothing() -> None:
    """A logit of minus infinity at a class that is not the target leaves loss and gradient finite."""
    logits = torch.tensor([[[0.0, -math.inf, 0.0]]], requires_grad=True)
    got = training.loss(logits, torch.tensor([[2]]), torch.tensor([[True]]), Config(shifts=False, label_smoothing=0.0))
    assert got.item() == pytest.approx(math.log(2))
    got.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert logits.grad is not None
    assert logits.grad.tolist() == [[[0.5, 0.0, -0.5]]]


def test_padding_may_hold_anything() -> None:
    """NaN logits and an id out of the vocabulary at padding change neither loss nor gradient."""
    torch.manual_seed(2)
    logits, config = torch.randn(2, 4, 5), Config(shifts=False)
    spoiled = logits.masked_fill(~REAL[..., None], math.nan).requires_grad_()
    got = training.loss(spoiled, IDS.masked_fill(~REAL, -100), REAL, config)
    assert got.item() == training.loss(logits, IDS, REAL, config).item()
    got.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert spoiled.grad is not None
    assert not spoiled.grad[~REAL].any()
    assert spoiled.grad.isfinite().all()


def test_no_real_token_costs_nothing() -> None:
    """A batch of padding, or of one token where the loss shifts, gives zero and no NaN."""
    logits = torch.randn(2, 4, 5)
    assert training.loss(logits, IDS, torch.zeros_like(REAL), Config()).item() == 0
    assert training.loss(logits[:, :1], IDS[:, :1], REAL[:, :1], Config()).item() == 0


def test_the_loss_as_built() -> None:
    """The role's call has the claims inside."""
    logits, config = torch.randn(2, 4, 5), Config(smoothing="other-classes")
    assert build(Role.LOSS, config)(logits, IDS, REAL) == training.loss(logits, IDS, REAL, config)


def test_learning_rate() -> None:
    """With d_model = 4 and warmup = 100 it rises to 0.05 at step 100, and is half of that at 50 and at 400."""
    rates = [training.learning_rate(step, 4, 100) for step in (1, 50, 100, 400)]
    assert rates == pytest.approx([0.0005, 0.025, 0.05, 0.025])
    assert build(Role.LEARNING_RATE_SCHEDULE, Config(d_model=4, heads=1, warmup=100))(50) == pytest.approx(0.025)


def test_step_zero_raises() -> None:
    """The first step is step 1."""
    with pytest.raises(ValueError, match=r"step=0 must be at least 1"):
        training.learning_rate(0, 4, 100)
