"""Training: what is done to a network while it learns: dropout, the loss, and the learning rate.

The gradients themselves are left to autograd, which differentiates every line of the reference as it stands: nothing is
detached, and nothing is written in place (training.every-parameter-gets-a-gradient,
training.gradients-are-the-derivative, training.gradients-equal-the-reference, training.gradients-respect-the-mask).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_spec.config import Config


def draw_kept(x: Float[Tensor, "*batch d_model"], rate: float) -> Bool[Tensor, "*batch d_model"]:
    """Decide which features stay: each on its own, anew for every call, row and token.

    r ~ Bernoulli(1 - p) (section 4), written p ``rate`` here: uniform numbers in [0, 1) reach the rate that often.

    Source:
        Srivastava et al. 2014, section 4 (training.dropout-drops-at-the-claimed-rate,
        training.dropout-differs-in-each-call-and-row).
    """
    return torch.rand(x.shape, device=x.device) >= rate


def drop(
    x: Float[Tensor, "*batch d_model"], kept: Bool[Tensor, "*batch d_model"], rate: float
) -> Float[Tensor, "*batch d_model"]:
    """Set the other features to zero, and scale up those that are kept, so that the mean stays what it was.

    r ⊙ x / (1 - p): inverted dropout, which leaves nothing to do in evaluation. At rate 1 nothing is kept.

    Args:
        kept: True where a feature stays.

    Source:
        Srivastava et al. 2014, sections 4 and 10 (training.dropout-is-unbiased).
    """
    scale = 0.0 if rate == 1 else 1 / (1 - rate)
    return x.masked_fill(~kept, 0.0) * scale


def dropout(x: Float[Tensor, "*batch d_model"], rate: float, *, training: bool) -> Float[Tensor, "*batch d_model"]:
    """Drop features in training, and return the input in evaluation.

    Source:
        Srivastava et al. 2014, section 4: at test time the unit is always present
        (training.evaluation-ignores-the-dropout-rate, training.dropout-is-unbiased).
    """
    return drop(x, draw_kept(x, rate), rate) if training else x


class Dropout(nn.Module):
    """No parameters: ``config.dropout`` is the rate."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
        """``x`` with features dropped in training, and ``x`` in evaluation."""
        return dropout(x, self.config.dropout, training=self.training)


def shift(
    logits: Float[Tensor, "batch time vocab"], ids: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
) -> tuple[Float[Tensor, "batch _ vocab"], Int[Tensor, "batch _"], Bool[Tensor, "batch _"]]:
    """Set each position's logits against the next id; the last logits and the first id have no partner.

    p(x) = Πₜ p(xₜ₊₁ | x₁, ..., xₜ) (equation 1). The mask is that of the target, and so moves with the ids.

    Source:
        Radford et al. 2019, section 2, equation 1; Vaswani et al. 2017, section 3.1 (training.targets-are-shifted-by-one).
    """
    return logits[:, :-1], ids[:, 1:], mask[:, 1:]


def log_probabilities(logits: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch vocab"]:
    """The logarithm of the softmax, without the softmax, which could be too small to have a logarithm.

    z - log Σⱼ exp(zⱼ) (equation 6.30).

    Source:
        Goodfellow et al. 2016, section 6.2.2.3 (training.the-loss-is-the-mean-over-real-tokens).
    """
    return logits - torch.logsumexp(logits, dim=-1, keepdim=True)


def smoothed_targets(
    targets: Int[Tensor, " token"], log_probabilities: Float[Tensor, "token vocab"], share: float, smoothing: str
) -> Float[Tensor, "token vocab"]:
    """The distribution that each token's prediction is compared with.

    (1 - e) on the target, plus e / vocab on every class; or e / (vocab - 1) on every other class (section 7).

    Args:
        log_probabilities: only its shape, dtype and device are used.
        share: e, between 0 and 1; 0 puts everything on the target.
        smoothing: "all-classes", or "other-classes"; a vocabulary of one has no other class.

    Source:
        Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4 (training.label-smoothing-equals-its-equation).
    """
    vocab = log_probabilities.shape[-1]
    target = torch.zeros_like(log_probabilities).scatter(-1, targets[:, None], 1.0)
    if smoothing == "other-classes":
        return (1 - share) * target + share * (1 - target) / max(vocab - 1, 1)
    return (1 - share) * target + share / vocab


def cross_entropy(
    target: Float[Tensor, "token vocab"], log_probabilities: Float[Tensor, "token vocab"]
) -> Float[Tensor, " token"]:
    """How many nats each token costs.

    -Σⱼ qⱼ log pⱼ, where a class that is not expected costs nothing, also if its probability is zero: 0 · log 0 = 0.

    Source:
        Goodfellow et al. 2016, section 3.13 (training.the-loss-is-the-mean-over-real-tokens).
    """
    return -torch.where(target > 0, target * log_probabilities, 0.0).sum(dim=-1)


def loss(
    logits: Float[Tensor, "batch time vocab"],
    targets: Int[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    config: Config,
) -> Float[Tensor, ""]:
    """How far the logits are from the targets, in nats for each real token.

    The padded tokens are left out before anything is computed; a batch without a real token costs nothing.

    Args:
        mask: True at real targets.

    Source:
        Vaswani et al. 2017, section 5; Goodfellow et al. 2016, section 6.2.1.1
        (training.the-loss-is-the-mean-over-real-tokens, training.the-loss-ignores-padding,
        training.a-small-model-learns-to-copy).
    """
    if config.shifts:
        logits, targets, mask = shift(logits, targets, mask)
    real = log_probabilities(logits[mask])
    expected = smoothed_targets(targets[mask], real, config.label_smoothing, config.smoothing)
    return cross_entropy(expected, real).sum() / max(len(real), 1)


def learning_rate(step: int, d_model: int, warmup: int) -> float:
    """The learning rate at a step: it rises in a line while the optimiser warms up, then falls with the root of the step.

    d_model^(-1/2) · min(step^(-1/2), step · warmup^(-3/2)) (equation 3).

    Args:
        step: counts from 1.

    Raises:
        ValueError: the step is below 1.

    Source:
        Vaswani et al. 2017, section 5.3, equation 3 (training.learning-rate-equals-equation-3).
    """
    if step < 1:
        raise ValueError(f"{step=} must be at least 1, because the first step is step 1")
    rate: float = d_model**-0.5 * min(step**-0.5, step * warmup**-1.5)
    return rate
