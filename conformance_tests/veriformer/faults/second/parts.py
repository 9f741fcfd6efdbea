"""Norms, feed-forward networks, tables and embeddings of the second family, each with a switch for faults."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
from torch import nn
from torch.nn import functional

from veriformer.faults.second.declaring import declare


class Norm(nn.Module):
    """Layer or root-mean-square normalisation, by its formula."""

    def __init__(self, config, fault=None, *, rms=False):
        super().__init__()
        self.eps, self.rms, self.fault = config.eps, rms, fault
        self.stretch = nn.Parameter(torch.ones(config.d_model))
        self.moved = nn.Parameter(torch.zeros(config.d_model)) if config.norm_bias and not rms else None

    def statistics(self, x):
        axes = {"statistics-over-time": (-2, -1), "statistics-over-the-wrong-axis": (-2,)}.get(self.fault, (-1,))
        centred = self.fault == "rms-subtracts-the-mean" or not (self.rms or self.fault == "mean-not-subtracted")
        middle = x.mean(axes, keepdim=True) if centred else torch.zeros_like(x[..., :1])
        if self.fault == "norm-not-root-mean-square":
            return middle, (x - middle).pow(2).sum(-1, keepdim=True)
        spread = (x - middle).pow(2).mean(axes, keepdim=True)
        if self.fault == "unbiased-variance":
            spread = spread * x.shape[-1] / (x.shape[-1] - 1)
        return middle, spread

    def forward(self, x):
        return self.normed(x.float() if x.dtype in (torch.float16, torch.bfloat16) else x).to(x.dtype)

    def normed(self, x):
        gain, shift = self.stretch, 0 if self.moved is None else self.moved
        if self.fault == "norm-does-nothing":
            return torch.addcmul(torch.zeros_like(x) + shift, x, gain)
        if self.fault == "gain-before-normalising":
            x = x * gain
        middle, spread = self.statistics(x)
        eps = {"eps-far-too-large": 1.0, "eps-missing": 0.0, "eps-not-passed-on": 1e-5}.get(self.fault, self.eps)
        root = spread.sqrt() + self.eps if self.fault == "eps-outside-the-root" else torch.sqrt(spread + eps)
        y = (x - middle) / root
        if self.fault not in ("gain-before-normalising", "gain-never-applied"):
            y = y * gain
        return y if self.fault == "shift-never-applied" else y + shift


class RootMeanSquare(Norm):
    def __init__(self, config, fault=None):
        super().__init__(config, fault, rms=True)


class Dense(nn.Module):
    """x @ w + b, with w stored in the order in which it is multiplied: [in, out]."""

    def __init__(self, into, out, *, bias=True):
        super().__init__()
        self.w = nn.Parameter(torch.randn(into, out) / into**0.5)
        self.b = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x):
        return x @ self.w if self.b is None else torch.tensordot(x, self.w, 1) + self.b


def bend(name, x):
    """The nonlinearity called ``name``, by its formula."""
    if name == "relu":
        return (x + x.abs()) / 2
    if name == "gelu":
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2
    if name == "gelu-tanh":
        return x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * torch.sigmoid(x)


GATES = {"reglu": "relu", "geglu": "gelu", "swiglu": "silu"}


class Thinking(nn.Module):
    """The feed-forward network; a gated one keeps gate and value in one matrix, the gate in front."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.gated = config.activation in GATES
        self.name, self.fault = GATES.get(config.activation, config.activation), fault
        self.wide = Dense(config.d_model, config.d_ff * (1 + self.gated), bias=config.bias)
        self.narrow = Dense(config.d_ff, config.d_model, bias=config.bias)

    def bent(self, hidden):
        if self.fault in ("activation-missing", "activation-after-the-second-map"):
            return hidden
        other = {"silu-for-gelu": "silu", "gelu-by-tanh": "gelu-tanh", "gelu-for-relu": "gelu"}
        return bend(other.get(self.fault, self.name), hidden)

    def widened(self, x):
        if self.fault == "tokens-mixed-in-the-feed-forward-network":
            x = x + functional.pad(x, (0, 0, 1, 0))[..., :-1, :] / 2
        if self.fault == "hidden-bias-never-added":
            return x @ self.wide.w
        if self.fault == "feed-forward-weights-scaled":
            return x @ (self.wide.w / 2) + self.wide.b
        return self.wide(x)

    def forward(self, x):
        hidden = self.widened(x)
        if self.gated:
            gate, value = hidden.chunk(2, -1)
            hidden = self.bent(gate) if self.fault == "gate-dropped" else self.bent(gate) * value
        else:
            hidden = self.bent(hidden)
        if self.fault == "output-bias-never-added":
            return hidden @ self.narrow.w
        y = self.narrow(hidden)
        return y.relu() if self.fault == "activation-after-the-second-map" else y


def waves(length, d_model, fault=None):
    """Sines and cosines in turns, by complex exponentials; position by feature."""
    place = torch.arange(length, dtype=torch.float64) + (fault == "positions-from-one")
    if fault == "positions-from-the-end":
        place = place.flip(0)
    if fault == "one-row-for-all-positions":
        place = torch.full_like(place, min(length, 2))
    pair = torch.arange((d_model + 1) // 2, dtype=torch.float64)
    exponent = pair / d_model * (1 if fault == "exponent-without-the-two" else 2)
    base = 1000.0 if fault == "base-of-a-thousand" else 10000.0
    turns = torch.outer(place, base ** (exponent if fault == "frequency-inverted" else -exponent))
    circle = torch.polar(torch.ones_like(turns), turns)
    if fault == "sines-and-cosines-in-halves":
        return torch.cat((circle.imag, circle.real), 1)[:, :d_model]
    return torch.stack((circle.imag, circle.real), 2).reshape(length, -1)[:, :d_model]


def add_table(x, table, fault=None):
    """``table``, position by feature, added to every row of the batch."""
    table = table.to(x)
    if fault == "table-multiplied":
        return x * table
    if fault == "table-added-twice":
        return x + table + table
    if fault == "input-scaled-on-the-way":
        return x * math.sqrt(x.shape[-1]) + table
    if fault == "positions-for-the-first-token-only":
        return torch.cat((x[:, :1] + table[:1], x[:, 1:]), 1)
    if fault == "positions-along-the-batch":
        return x + table[torch.arange(len(x)) % len(table), None]
    return x if fault == "positions-never-added" else table.unsqueeze(0) + x


class Places(nn.Module):
    """A table of positions that is added: computed, or learned as [features, positions]."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.features = fault, config.d_model
        self.learned = (
            nn.Parameter(torch.randn(config.d_model, config.max_len))
            if "learned" in (config.encoding, config.positions)
            else None
        )

    def table(self, length):
        if self.learned is None:
            return waves(length, self.features, self.fault)
        rows = self.learned.t()
        if self.fault == "positions-taken-modulo":
            rows = rows.repeat(length // len(rows) + 1, 1)
        elif self.fault == "positions-clamped":
            rows = torch.cat((rows, rows[-1:].expand(length, -1)))
        elif length > len(rows):
            raise IndexError(f"{length} positions do not fit into a table of {len(rows)}")
        rows = rows[:length]
        return rows.detach() if self.fault == "table-detached" else rows

    def forward(self, x):
        return add_table(x, self.table(x.shape[1]), self.fault)


class Words(nn.Module):
    """One-hot vectors times a table of words that stands next to a table of segments."""

    def __init__(self, config, fault=None):
        super().__init__()
        self.fault, self.many = fault, config.vocab
        self.scaled, self.with_segments = config.embedding_scale == "root-d_model", config.segments
        self.table = nn.Parameter(torch.randn(config.vocab, config.d_model))
        self.kinds = nn.Parameter(torch.randn(config.segment_count, config.d_model)) if config.segments else None

    def looked_up(self, ids):
        if self.fault == "row-looked-up-by-position":
            ids = (ids + torch.arange(ids.shape[1], device=ids.device)) % self.many
        if self.fault == "ids-modulo-one-row-short":
            ids = ids % (self.many - 1)
        if self.fault == "ids-clamped":
            ids = ids.clamp(0, self.many - 1)
        return functional.one_hot(ids, self.many).to(self.table) @ self.table

    def forward(self, ids, segments=None):
        x = self.looked_up(ids)
        root = math.sqrt(x.shape[-1])
        factor = {
            "embedding-scale-forgotten": 1,
            "embedding-scale-twice": root**2,
            "embedding-scale-inverted": 1 / root,
        }
        x = x * factor.get(self.fault, root if self.scaled else 1)
        if self.kinds is None:
            return x
        if segments is None or self.fault == "segments-ignored":
            segments = torch.zeros_like(ids)
        if self.fault == "segment-of-the-first-token":
            segments = segments[:, :1].expand_as(ids)
        added = self.kinds[segments]
        return x + added * root if self.fault == "segments-scaled-too" else x + added


def build_layer_norm(fault=None, **claims):
    return declare("layer-norm", Norm, fault, **claims)


def build_rms_norm(fault=None, **claims):
    return declare("rms-norm", RootMeanSquare, fault, **claims)


def build_feed_forward(fault=None, **claims):
    return declare("feed-forward", Thinking, fault, **claims)


def build_positional_encoding(fault=None, **claims):
    return declare("positional-encoding", Places, fault, **claims)


def build_token_embedding(fault=None, **claims):
    return declare("token-embedding", Words, fault, **claims)


_BOTH_NORMS = (
    "eps-outside-the-root", "eps-missing", "eps-far-too-large", "statistics-over-time", "statistics-over-the-wrong-axis",
    "gain-never-applied", "gain-before-normalising", "norm-does-nothing",
)  # fmt: skip
_PLAIN_NETWORK = (
    "activation-missing", "activation-after-the-second-map", "hidden-bias-never-added", "output-bias-never-added",
    "feed-forward-weights-scaled", "tokens-mixed-in-the-feed-forward-network", "gelu-for-relu",
)  # fmt: skip
_WAVES = (
    "sines-and-cosines-in-halves", "exponent-without-the-two", "base-of-a-thousand", "frequency-inverted", "positions-from-one",
)  # fmt: skip
_ANY_TABLE = (
    "table-added-twice", "table-multiplied", "input-scaled-on-the-way",
)  # fmt: skip
_LEARNED = ("table-detached", "positions-clamped", "positions-taken-modulo")
_SCALES = ("embedding-scale-forgotten", "embedding-scale-twice", "embedding-scale-inverted")

SECOND = {
    **{fault: (build_layer_norm(fault), build_rms_norm(fault)) for fault in _BOTH_NORMS},
    **{
        fault: (build_layer_norm(fault),)
        for fault in ("unbiased-variance", "mean-not-subtracted", "shift-never-applied")
    },
    **{fault: (build_rms_norm(fault),) for fault in ("rms-subtracts-the-mean", "norm-not-root-mean-square")},
    "eps-not-passed-on": (
        build_layer_norm("eps-not-passed-on", eps=1e-12),
        build_rms_norm("eps-not-passed-on", eps=1e-6),
    ),
    **{fault: (build_feed_forward(fault),) for fault in _PLAIN_NETWORK},
    **{fault: (build_feed_forward(fault, activation="gelu"),) for fault in ("gelu-by-tanh", "silu-for-gelu")},
    "gate-dropped": (build_feed_forward("gate-dropped", activation="swiglu"),),
    **{
        fault: (build_positional_encoding(fault),)
        for fault in (*_WAVES, "positions-from-the-end", "one-row-for-all-positions")
    },
    **{
        fault: (build_positional_encoding(fault), build_positional_encoding(fault, encoding="learned"))
        for fault in _ANY_TABLE
    },
    **{fault: (build_positional_encoding(fault, encoding="learned"),) for fault in _LEARNED},
    **{
        fault: (build_token_embedding(fault),)
        for fault in ("row-looked-up-by-position", "ids-modulo-one-row-short", "ids-clamped")
    },
    **{fault: (build_token_embedding(fault, embedding_scale="root-d_model"),) for fault in _SCALES},
    **{
        fault: (build_token_embedding(fault, segments=True),)
        for fault in ("segments-ignored", "segment-of-the-first-token")
    },
    "segments-scaled-too": (
        build_token_embedding("segments-scaled-too", segments=True, embedding_scale="root-d_model"),
    ),
}

CORRECT = (
    build_layer_norm(),
    build_layer_norm(norm_bias=False, eps=1e-12),
    build_rms_norm(),
    build_feed_forward(),
    build_feed_forward(activation="gelu", bias=False),
    build_feed_forward(activation="swiglu"),
    build_positional_encoding(),
    build_positional_encoding(encoding="learned"),
    build_token_embedding(),
    build_token_embedding(segments=True, embedding_scale="root-d_model"),
)
