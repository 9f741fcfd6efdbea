"""What the second witnesses share: other people's models with the reference's weights, compared layer by layer.

A witness never saw the reference: torch.nn.Transformer, and the models of the library transformers, built from tiny
configurations with random weights. Every tensor of the witness must find its place in the reference, and the other way
round, so that neither computes with anything that the other lacks.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veriformer_reference.build import build
from veriformer_spec import numerics
from veriformer_spec.config import FIELDS, Config, validated
from veriformer_spec.profiles import PROFILES
from veriformer_spec.role import Role

LONGEST_SUM = 64
"""No reduction in these models has more terms."""

VOCAB = 13
PAD = 0


def profile(name: str, **sizes: Any) -> nn.Module:
    """The reference as a profile describes it, at these sizes, in float64 and evaluation."""
    return reference(PROFILES[name].role, PROFILES[name].claims, **sizes)


def reference(role: Role, claims: Mapping[str, object], **sizes: Any) -> nn.Module:
    """The reference in one role, under these claims and at these sizes, in float64 and evaluation."""
    said = {name: value for name, value in validated(role, claims).items() if name in FIELDS}
    built = build(role, Config(**{**said, "dropout": 0.1, "pad_id": PAD, **sizes}))
    assert isinstance(built, nn.Module)
    return built.double().eval()


def shaken(module: nn.Module, seed: int) -> Any:
    """Gains that are not one, biases that are not zero, weights that are not small; in float64 and evaluation."""
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64), alpha=0.25)
    return module


def port(ours: nn.Module, theirs: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the reference the witness's weights; both must be used up."""
    wanted = dict(ours.named_parameters())
    assert weights.keys() == wanted.keys(), weights.keys() ^ wanted.keys()
    with torch.no_grad():
        for name, parameter in wanted.items():
            assert parameter.shape == weights[name].shape, name
            parameter.copy_(weights[name])
    assert sum(each.numel() for each in wanted.values()) == sum(each.numel() for each in theirs.parameters())


def linear(name: str, module: nn.Module) -> dict[str, Tensor]:
    """The weight and the bias of a linear map, by the reference's names; the weight alone where there is no bias."""
    return {f"{name}.{key}": parameter for key, parameter in module.named_parameters()}


def norm(name: str, module: nn.Module) -> dict[str, Tensor]:
    """The gain and the shift of a norm, by the reference's names."""
    ours = {"weight": "gain", "bias": "shift"}
    return {f"{name}.{ours[key]}": parameter for key, parameter in module.named_parameters()}


@contextlib.contextmanager
def outputs(modules: Iterable[Any]) -> Iterator[list[Tensor]]:
    """What each module returns while the block runs, in the order of the calls."""
    seen: list[Tensor] = []

    def remember(_: object, __: object, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    with contextlib.ExitStack() as undo:
        for module in modules:
            undo.callback(module.register_forward_hook(remember).remove)
        yield seen


def ids(seed: int, batch: int, time: int) -> Tensor:
    """Words, none of them padding."""
    return torch.randint(1, VOCAB, (batch, time), generator=torch.Generator().manual_seed(seed))


def padding(seed: int, batch: int, time: int, side: str) -> Tensor:
    """True at real tokens: each row has another number of them, at least one, and row 0 has no padding."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(batch, time, dtype=torch.bool)
    for row in range(1, batch):
        hidden = int(torch.randint(1, time, (1,), generator=generator))
        if side == "right":
            mask[row, time - hidden :] = False
        elif side == "left":
            mask[row, :hidden] = False
        else:
            mask[row, torch.randperm(time - 1, generator=generator)[:hidden]] = False
    return mask


def require_near(got: Tensor, expected: Tensor, real: Tensor | None, dtype: str = "float64") -> None:
    """Equal up to rounding in ``dtype`` at real positions; Higham 2002, section 3.1, as in ``conftest``."""
    got, expected = got.detach(), expected.detach()
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype == torch.float64
    if real is not None:
        got, expected = got[real], expected[real]
    size = max(1.0, float(expected.abs().max()))
    bound = numerics.UNITS[dtype] * numerics.UNIT_ROUNDOFF[dtype] * LONGEST_SUM * size
    distance = float((got - expected).abs().max())
    assert distance <= bound, f"{distance=} must be at most {bound=}"


def require_same_layers(ours: list[Tensor], theirs: list[Tensor], real: Tensor | None, dtype: str = "float64") -> None:
    """As many layers ran, and each returned the same."""
    assert len(ours) == len(theirs) > 0
    for got, expected in zip(ours, theirs, strict=True):
        require_near(got, expected, real, dtype)
