"""Static, class and property members."""

import torch
from jaxtyping import Float
from torch import Tensor


class Rope:
    def __init__(self, table: Float[Tensor, "longest d_head"]) -> None:
        self.table = table

    @classmethod
    def of(cls, longest: int, d_head: int) -> "Rope":
        return cls(torch.randn(longest, d_head))

    @staticmethod
    def turn(x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        left, right = x.tensor_split(2, dim=-1)
        return torch.cat([-right, left], -1)

    @property
    def cos(self) -> Float[Tensor, "longest d_head"]:
        return self.table.cos()

    def __call__(self, x: Float[Tensor, "heads time d_head"]) -> Float[Tensor, "heads time d_head"]:
        time = x.shape[-2]
        return x * self.cos[:time] + Rope.turn(x) * self.table[:time].sin()


def run() -> None:
    Rope.of(9, 4)(torch.randn(3, 5, 4))
