"""The sinusoidal table of the first Transformer, written in place."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def table(time: int, d_model: int) -> Float[Tensor, "time d_model"]:
    result = torch.zeros(time, d_model)
    position = torch.arange(time, dtype=torch.float).unsqueeze(1)
    scale = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
    result[:, 0::2] = torch.sin(position * scale)
    result[:, 1::2] = torch.cos(position * scale)
    return result


def added(x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch time d_model"]:
    return x + table(x.shape[1], x.shape[2])


def run() -> None:
    added(torch.randn(2, 5, 8))
