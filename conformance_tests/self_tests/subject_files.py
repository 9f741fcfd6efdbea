"""Files with subjects in them, as a user of the command has."""

GOOD = """
from torch import nn

import veriformer


@veriformer.subject("layer-norm")
def build(config):
    return nn.LayerNorm(config.d_model)


def undeclared(config):
    return nn.LayerNorm(config.d_model)


@veriformer.subject("layer-norm", norm_bias=False)
def without_shift(config):
    return nn.LayerNorm(config.d_model, bias=False)


@veriformer.subject("layer-norm")
def batch_norm(config):
    class Normalise(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(config.d_model)

        def forward(self, x):
            return self.norm(x.transpose(1, 2)).transpose(1, 2)

    return Normalise()


number = 3
module = nn.LayerNorm(8)
"""
