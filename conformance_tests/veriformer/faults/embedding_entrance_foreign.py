"""Real-valued input that enters otherwise than by one projection, written as people write it."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer_spec import embedding


class Entrance(nn.Module):
    """A projection in front of torch's stack."""

    def __init__(self, config):
        super().__init__()
        layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True)
        self.stack = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.heads, self.features = config.heads, config.d_input
        self.project = nn.Linear(config.d_input, config.d_model)

    def enter(self, x):
        return self.project(x)

    def forward(self, x, mask=None):
        batch, time, _ = x.shape
        hidden = None if mask is None else ~mask.expand(batch, self.heads, time, time).reshape(-1, time, time)
        return self.stack(self.enter(x), mask=hidden)


class Squashed(Entrance):
    def enter(self, x):
        return torch.tanh(self.project(x))


class LooksBack(Entrance):
    """A convolution over three positions."""

    def __init__(self, config):
        super().__init__(config)
        self.project = nn.Conv1d(config.d_input, config.d_model, 3, padding=1)

    def enter(self, x):
        return self.project(x.mT).mT


class MapForEachPosition(Entrance):
    def __init__(self, config):
        super().__init__(config)
        self.maps = nn.Parameter(torch.randn(config.max_len, config.d_input, config.d_model) / config.d_input)
        del self.project

    def enter(self, x):
        return torch.einsum("btd,tdm->btm", x, self.maps[: x.shape[1]])


class HalfOfIt(Entrance):
    def enter(self, x):
        return self.project(
            torch.cat((x[..., : self.features // 2], torch.zeros_like(x[..., self.features // 2 :])), -1)
        )


@veriformer.subject("encoder", entrance="projection")
def squashed(config):
    return Squashed(config)


@veriformer.subject("encoder", entrance="projection")
def looks_back(config):
    return LooksBack(config)


@veriformer.subject("encoder", entrance="projection")
def map_for_each_position(config):
    return MapForEachPosition(config)


@veriformer.subject("encoder", entrance="projection")
def half_of_it(config):
    return HalfOfIt(config)


ENTRANCE_THAT_IS_NO_PROJECTION = Fault(
    id="entrance-that-is-no-projection",
    sentence="Real values enter by a tanh, by a convolution over neighbours, by a map of each position's own, or by half.",
    clauses=(embedding.REAL_VALUES_ENTER_BY_A_PROJECTION,),
    source="experience",
    written="nn.Conv1d(d_input, d_model, 3, padding=1)",
    mend="nn.Linear(d_input, d_model)",
    builds=(squashed, looks_back, map_for_each_position, half_of_it),
)
