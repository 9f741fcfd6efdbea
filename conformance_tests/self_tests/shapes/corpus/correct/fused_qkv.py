"""One projection for query, key and value, cut with chunk and with split."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Fused(nn.Module):
    def __init__(self, d_model: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.n_head = heads
        self.n_embd = d_model

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).contiguous().view(B, T, C)


def thirds(
    x: Float[Tensor, "batch time 3*d"],
) -> tuple[Float[Tensor, "batch time d"], Float[Tensor, "batch time d"], Float[Tensor, "batch time d"]]:
    query, key, value = x.chunk(3, dim=-1)
    return query, key, value


def run() -> None:
    Fused(12, 3)(torch.randn(2, 5, 12))
