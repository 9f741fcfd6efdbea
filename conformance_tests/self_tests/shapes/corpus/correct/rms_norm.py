"""RMS normalisation with a gain, computed in float32."""

import torch
from jaxtyping import Float
from torch import Tensor


def rms_norm(
    x: Float[Tensor, "... d_model"], gain: Float[Tensor, " d_model"], eps: float = 1e-6
) -> Float[Tensor, "... d_model"]:
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (scaled * gain).type_as(x)


def layer_norm(
    x: Float[Tensor, "*batch d_model"],
    gain: Float[Tensor, "d_model"],
    bias: Float[Tensor, "d_model"],
) -> Float[Tensor, "*batch d_model"]:
    mean = x.mean(dim=-1, keepdim=True)
    variance = (x - mean).square().mean(dim=-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * gain + bias


def run() -> None:
    x = torch.randn(2, 5, 8)
    rms_norm(x, torch.ones(8))
    layer_norm(x, torch.ones(8), torch.zeros(8))
