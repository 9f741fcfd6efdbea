"""A mask that may be missing, made on the spot, and broadcast."""

from typing import Optional

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def weights(
    scores: Float[Tensor, "batch heads q_len k_len"],
    mask: Optional[Bool[Tensor, "q_len k_len"]] = None,
    padding: Bool[Tensor, "batch k_len"] | None = None,
) -> Float[Tensor, "batch heads q_len k_len"]:
    if mask is None:
        q_len, k_len = scores.shape[-2:]
        mask = torch.ones(q_len, k_len, dtype=torch.bool, device=scores.device)
    visible = mask[None, None]
    if padding is not None:
        visible = visible & padding[:, None, None, :]
    return F.softmax(scores.where(visible, torch.tensor(-1e9)), dim=-1)


def run() -> None:
    scores = torch.randn(2, 3, 4, 5)
    weights(scores)
    weights(scores, torch.ones(4, 5, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool))
