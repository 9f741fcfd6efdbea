"""Images to patches with unfold, reshape and permute."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def patches(x: Float[Tensor, "b c height width"], p: int) -> Float[Tensor, "b n c*p*p"]:
    b, c, height, width = x.shape
    grid = x.reshape(b, c, height // p, p, width // p, p)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(b, (height // p) * (width // p), -1)


def patches_by_einops(x: Float[Tensor, "b c height width"], p: int) -> Float[Tensor, "b n w"]:
    return rearrange(x, "b c (i p) (j q) -> b (i j) (c p q)", p=p, q=p)


def with_class(x: Float[Tensor, "b n d"], token: Float[Tensor, "1 1 d"]) -> Float[Tensor, "b n+1 d"]:
    return torch.cat([token.expand(x.size(0), -1, -1), x], dim=1)


def run() -> None:
    image = torch.randn(2, 3, 4, 6)
    with_class(patches_by_einops(image, 2), torch.randn(1, 1, 12))
