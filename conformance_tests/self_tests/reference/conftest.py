"""What the reference's self-tests share: one thread, and one rule for agreement in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from veriformer_spec import numerics

LONGEST_SUM = 64
"""No reduction in these tests has more terms."""

torch.set_num_threads(1)


def _agree(got: Tensor, expected: Tensor) -> None:
    """Higham 2002, section 3.1: a sum of n terms is off by n · eps · Σ|terms|; UNITS covers the steps in sequence."""
    got, expected = got.detach(), expected.detach()
    assert got.shape == expected.shape, f"{got.shape=} must be {expected.shape=}"
    assert got.dtype == expected.dtype == torch.float64, f"{got.dtype=}, {expected.dtype=} must be float64"
    size = max(1.0, float(expected.abs().max()))
    bound = numerics.UNITS["float64"] * numerics.UNIT_ROUNDOFF["float64"] * LONGEST_SUM * size
    distance = float((got - expected).abs().max())
    assert distance <= bound, f"{distance=} must be at most {bound=}, the rounding of {LONGEST_SUM} terms"


@pytest.fixture
def assert_agree() -> Callable[[Tensor, Tensor], None]:
    """Assert that two float64 tensors are equal up to rounding."""
    return _agree


@pytest.fixture
def draw() -> Callable[..., Tensor]:
    """Normal float64 numbers of a given shape, the same in every run."""
    generator = torch.Generator().manual_seed(20170612)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
