"""A norm, seen from outside: its gain and its shift are solved for, and what is left is known by hand.

A norm is ``f(x) = z(x) g + b`` with ``z`` known. A token and its negative give ``z`` and ``-z`` exactly, so that
``b = (f(x) + f(-x)) / 2`` and ``g = (f(x) - f(-x)) / 2z``: no weights mapping is needed to judge every other token.
"""

import dataclasses
import math

import torch
from torch import Tensor

from veriformer.arrangements import Norm
from veriformer.bare_stack import claimed_norm
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.other_claims import OTHER_EPS
from veriformer.subjects import Instance, Subject

FAR_ABOVE = 1e8
"""Size of the tokens that gain and shift are solved with: wherever eps is added, it shows no more."""
NEAR = 1e-6
"""Difference below which two vectors of random numbers are the same vector."""
EXACT = 1e-2
"""Share within which an effective eps is recognised: values in use lie a factor of ten apart."""


def call(instance: Instance, case: Case, x: Tensor, *, grad: bool = False) -> Tensor:
    """The output for these tokens, in float64 on the CPU."""
    subject = instance.subject
    inputs = dataclasses.replace(subject.inputs(case), tensors=(x.to(device=subject.device, dtype=subject.dtype),))
    return instance(inputs, grad=grad).detach().double().cpu()


def tokens(case: Case, seed: int) -> Tensor:
    """``batch time d_model``, standard normal."""
    return torch.randn(case.batch, case.q_len, case.d_model, generator=generator(seed), dtype=torch.float64)


def of_variance(case: Case, variance: float, seed: int, subject: Subject) -> Tensor:
    """Tokens whose variance (for RMSNorm mean square) is ``variance``, as nearly as the subject's dtype holds them."""
    x = Norm(claimed_norm(subject).kind, 0.0, gain="1", shift=False).normalised(tokens(case, seed)) * math.sqrt(
        variance
    )
    return x.to(subject.dtype).double()


@dataclasses.dataclass(frozen=True)
class Affine:
    """The gain and the shift that a norm was seen to apply."""

    gain: Tensor
    shift: Tensor

    def __call__(self, normalised: Tensor) -> Tensor:
        """What the norm returns for tokens that are ``normalised`` already."""
        return normalised * self.gain + self.shift


def solved(instance: Instance, case: Case, seed: int = 0) -> Affine:
    """Gain and shift, from one token far above eps and its negative; no feature of it lies near its mean."""
    norm = claimed_norm(instance.subject)
    alternating = torch.tensor([1.0 if feature % 2 else -1.0 for feature in range(case.d_model)], dtype=torch.float64)
    noise = torch.rand(case.d_model, generator=generator(seed), dtype=torch.float64)
    token = (alternating * (1 + noise / 4)).float().double() * FAR_ABOVE * max(1.0, norm.eps)
    x = tokens(case, seed) * FAR_ABOVE * max(1.0, norm.eps)
    x[0, 0] = token
    above = call(instance, case, x)[0, 0]
    x[0, 0] = -token
    below = call(instance, case, x)[0, 0]
    return Affine((above - below) / 2 / norm.normalised(token), (above + below) / 2)


def has_no_affine(instance: Instance) -> bool:
    """Whether gain and shift cannot exist: a bare function, or a module without a number of its own."""
    return instance.module is None or not (
        any(True for _ in instance.module.parameters()) or any(True for _ in instance.module.buffers())
    )


def effective_eps(instance: Instance, case: Case, variance: float, affine: Affine) -> tuple[float, float]:
    """What must be added to the variance, and what to its root, to give what is seen at tokens of that variance."""
    x = of_variance(case, variance, case.seed + 7, instance.subject)
    norm = dataclasses.replace(claimed_norm(instance.subject), eps=0.0)
    z = norm.normalised(x)
    got = (call(instance, case, x) - affine.shift) / affine.gain
    shrunk = float((got * z).sum() / (z * z).sum())
    if not math.isfinite(shrunk) or shrunk <= 0:
        return math.nan, math.nan
    return variance * (1 / shrunk**2 - 1), math.sqrt(variance) * (1 / shrunk - 1)


def other_norms(norm: Norm) -> list[tuple[str, Norm]]:
    """Norms that are written by mistake, and what is said of them."""
    change = dataclasses.replace
    named = [(f"eps={eps:g}", change(norm, eps=eps)) for eps in OTHER_EPS if eps != norm.eps]
    if norm.kind == "layer":
        named.append(("dividing by d_model - 1", change(norm, unbiased=True)))
    for eps in dict.fromkeys((norm.eps, 1e-5, 1e-6, 1e-12)):
        for unbiased in (False, True):
            divided = ", and dividing by d_model - 1" if unbiased else ""
            named.append(
                (
                    f"adding eps={eps:g} outside the root{divided}",
                    change(norm, eps=eps, outside=True, unbiased=unbiased),
                )
            )
    other = "rms" if norm.kind == "layer" else "layer"
    named.append(
        (
            f"{'RMSNorm' if other == 'rms' else 'LayerNorm'}, {'no' if other == 'rms' else 'a'} mean subtracted",
            change(norm, kind=other),
        )
    )
    return named


def refitted(affine: Affine, claimed: Norm, other: Norm, x: Tensor) -> Tensor:
    """What the other norm would give, its gain being what was seen far above eps."""
    ratio = math.sqrt((x.shape[-1] - 1) / x.shape[-1]) if other.unbiased and claimed.kind == "layer" else 1.0
    return Affine(affine.gain / ratio, affine.shift)(other.normalised(x))
