"""A loop that grows a sequence token by token."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Model(nn.Module):
    def __init__(self, vocab: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.head = nn.Linear(width, vocab)

    def forward(self, ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocab"]:
        return self.head(self.embedding(ids).cumsum(dim=1))


@torch.inference_mode()
def generate(model: Model, ids: Int[Tensor, "batch time"], steps: int) -> Int[Tensor, "batch longer"]:
    for _ in range(steps):
        logits = model(ids)[:, -1, :]
        best = logits.argmax(-1, keepdim=True)
        ids = torch.cat([ids, best], dim=1)
    return ids


def run() -> None:
    generate(Model(7, 4), torch.zeros(2, 3, dtype=torch.long), 3)
