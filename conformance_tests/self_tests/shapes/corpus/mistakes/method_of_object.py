"""A method called with the axes exchanged."""

import torch
from jaxtyping import Float
from torch import Tensor


class Attention:
    def scores(self, query: Float[Tensor, "q_len d"], key: Float[Tensor, "k_len d"]) -> Float[Tensor, "q_len k_len"]:
        return query @ key.T

    def __call__(self, query: Float[Tensor, "q_len d"], key: Float[Tensor, "k_len d"]) -> Float[Tensor, "q_len k_len"]:
        return self.scores(query, key.mT)  # error


def run() -> None:
    Attention()(torch.randn(3, 4), torch.randn(5, 4))
