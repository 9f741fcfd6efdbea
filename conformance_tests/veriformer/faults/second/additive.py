"""Additive attention as the paper's appendix has it: three matrices without biases, stored inputs by outputs, and einsum."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

from veriformer.faults.second.declaring import declare


class PaperAttention(nn.Module):
    def __init__(self, config, fault=None):
        super().__init__()
        size, self.fault = config.d_model, fault
        self.W, self.U = (nn.Parameter(torch.randn(size, size) / size**0.5) for _ in range(2))
        self.v = nn.Parameter(torch.randn(size))

    def forward(self, query, memory, mask=None):
        asked = torch.einsum("bqf,fh->bqh", query, self.W)
        pairs = asked[:, :, None] + torch.einsum("bkf,fh->bkh", memory, self.U)[:, None]
        if self.fault == "tanh-after-the-score":
            score = torch.tanh(torch.einsum("bqkh,h->bqk", pairs, self.v))
        else:
            score = torch.einsum("bqkh,h->bqk", torch.tanh(pairs), self.v)
        if mask is not None:
            hidden = ~mask.squeeze(1)
            score = score.masked_fill(hidden, float("-inf")).masked_fill(hidden.all(-1, keepdim=True), 0)
        return torch.einsum("bqk,bkf->bqf", score.softmax(-1), memory)


def build_paper_attention(fault=None):
    return declare("additive-attention", PaperAttention, fault)


SECOND = {"tanh-after-the-score": (build_paper_attention("tanh-after-the-score"),)}
CORRECT = (build_paper_attention(),)
