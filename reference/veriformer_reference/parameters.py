"""Parameters: the weight and the bias of a linear map, and how they start.

No chapter of the specification: initial values are free, and only the names matter, because adapters map to them.
"""

import torch
from torch import nn


class Linear(nn.Module):
    """The parameters of one linear map, ``weight`` (outputs by inputs) and ``bias``; the chapters apply them.

    The bias starts small but not at zero: a bias of zero would hide that nobody adds it.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(nn.init.normal_(torch.empty(outputs), std=0.02)) if bias else None
