"""Next-token loss with flattening."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def loss(logits: Float[Tensor, "batch time vocab"], ids: Int[Tensor, "batch time"]) -> Float[Tensor, ""]:
    predicted = logits[:, :-1].reshape(-1, logits.size(-1))
    target = ids[:, 1:].reshape(-1)
    return F.cross_entropy(predicted, target)


def chosen(logits: Float[Tensor, "b t v"], ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    return torch.gather(logits.log_softmax(-1), 2, ids.unsqueeze(-1)).squeeze(-1)


def run() -> None:
    logits, ids = torch.randn(2, 5, 7), torch.zeros(2, 5, dtype=torch.long)
    loss(logits, ids), chosen(logits, ids)
