# mypy: ignore-errors
# Other people's code, written the way they write it: without types.
"""Modules that keep their weights in many ways, for the self-tests of the mapping; their names are of no help on purpose."""

import math

import torch
from torch import nn


class Fused(nn.Module):
    """Self-attention with one projection for queries, keys and values, in one of four orders of its rows."""

    def __init__(self, d, h, order="chr", bias=True):
        super().__init__()
        self.h, self.order = h, order
        self.a, self.z = nn.Linear(d, 3 * d, bias=bias), nn.Linear(d, d, bias=bias)

    def forward(self, x):
        b, t, d = x.shape
        y, h, r = self.a(x), self.h, d // self.h
        if self.order == "hcr":  # each head's three together
            q, k, v = y.reshape(b, t, h, 3 * r).permute(0, 2, 1, 3).chunk(3, -1)
        elif self.order == "chr":
            q, k, v = (each.reshape(b, t, h, r).transpose(1, 2) for each in y.chunk(3, -1))
        elif self.order == "hrc":  # query, key, value take turns
            q, k, v = y.reshape(b, t, h, r, 3).permute(4, 0, 2, 1, 3).unbind(0)
        else:  # the head counts fastest
            q, k, v = (each.reshape(b, t, r, h).permute(0, 3, 1, 2) for each in y.chunk(3, -1))
        weights = torch.softmax(q @ k.mT / math.sqrt(r), -1)
        return self.z((weights @ v).transpose(1, 2).reshape(b, t, d))


class PerHead(nn.Module):
    """A list of small projections, one for each head."""

    def __init__(self, d, h):
        super().__init__()
        self.q, self.k, self.v = (nn.ModuleList(nn.Linear(d, d // h) for _ in range(h)) for _ in range(3))
        self.o = nn.Linear(d, d)

    def forward(self, x):
        heads = zip(self.q, self.k, self.v, strict=True)
        seen = [torch.softmax(q(x) @ k(x).mT / math.sqrt(q.out_features), -1) @ v(x) for q, k, v in heads]
        return self.o(torch.cat(seen, -1))


class Cubes(nn.Module):
    """Bare parameters with an axis for the heads: inputs first, and heads first."""

    def __init__(self, d, h):
        super().__init__()
        r = d // h
        self.u = nn.Parameter(torch.randn(h, d, r) / 5)
        self.w = nn.Parameter(torch.randn(d, h, r) / 5)
        self.t = nn.Parameter(torch.randn(h, r, d) / 5)
        self.s = nn.Parameter(torch.randn(h, r, d) / 5)

    def forward(self, x):
        q = torch.einsum("btd,hdr->bhtr", x, self.u)
        k = torch.einsum("btd,dhr->bhtr", x, self.w)
        v = torch.einsum("btd,hrd->bhtr", x, self.t)
        seen = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v
        return torch.einsum("bhtr,hrd->btd", seen, self.s)


class Grouped(nn.Module):
    """Fewer key heads: each group's queries, then its key, then its value; a fused gate, interleaved; inputs by outputs."""

    def __init__(self, d, h, g, f):
        super().__init__()
        self.h, self.g, r = h, g, d // h
        self.a = nn.Parameter(torch.randn(d, (h + 2 * g) * r) / 5)
        self.b = nn.Parameter(torch.randn(d, d) / 5)
        self.c = nn.Parameter(torch.randn(d, 2 * f) / 5)
        self.e = nn.Parameter(torch.randn(f, d) / 5)
        self.m, self.n = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))

    def norm(self, x, gain):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * gain

    def forward(self, x):
        b, t, d = x.shape
        each = self.h // self.g
        y = (self.norm(x, self.m) @ self.a).reshape(b, t, self.g, each + 2, d // self.h)
        q = y[..., :each, :].reshape(b, t, self.h, -1).transpose(1, 2)
        k, v = (y[..., each + i, :].repeat_interleave(each, 2).transpose(1, 2) for i in (0, 1))
        seen = torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]), -1) @ v
        x = x + seen.transpose(1, 2).reshape(b, t, d) @ self.b
        gate, up = (self.norm(x, self.n) @ self.c).unflatten(-1, (-1, 2)).unbind(-1)
        return x + (torch.nn.functional.silu(gate) * up) @ self.e


class Layer(nn.Module):
    """An encoder layer around any attention; its names say the opposite of what they hold."""

    def __init__(self, d, f, attention, *, pre=False):
        super().__init__()
        self.zz, self.lin_b, self.aa = nn.LayerNorm(d), nn.Linear(d, f), attention
        self.lin_a, self.bb, self.pre = nn.Linear(f, d), nn.LayerNorm(d), pre

    def forward(self, x):
        if self.pre:
            x = x + self.aa(self.bb(x))
            return x + self.lin_a(torch.relu(self.lin_b(self.zz(x))))
        y = self.bb(x + self.aa(x))
        return self.zz(y + self.lin_a(torch.relu(self.lin_b(y))))


class Served(Layer):
    """The same, and never with a gradient."""

    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class Biased(Layer):
    """With a position bias that nobody knows of."""

    def forward(self, x):
        return super().forward(x + torch.linspace(0, 1, x.shape[1], dtype=x.dtype)[:, None])


class Scaled(Layer):
    """With one more number to learn."""

    def __init__(self, d, f, attention):
        super().__init__(d, f, attention)
        self.k = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.k * super().forward(x)


class Normed(Layer):
    """With a weight that is computed of two parameters."""

    def __init__(self, d, f, attention):
        super().__init__(d, f, attention)
        nn.utils.parametrizations.weight_norm(self.lin_a)


class Tied(nn.Module):
    """Queries and keys by one projection."""

    def __init__(self, d, h):
        super().__init__()
        self.h, self.a, self.b, self.c = h, nn.Linear(d, d), nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x):
        q, v = (p(x).unflatten(-1, (self.h, -1)).transpose(1, 2) for p in (self.a, self.b))
        return self.c((torch.softmax(q @ q.mT / math.sqrt(q.shape[-1]), -1) @ v).transpose(1, 2).flatten(2))


class Bare(nn.Module):
    """A language model of tensors alone, none of them in a module that says what it is; what goes in is every matrix's first axis."""

    def __init__(self, d, h, f, layers, vocab, longest, *, axes):
        super().__init__()
        self.h, self.axes = h, axes
        self.words, self.places = (nn.Parameter(torch.randn(rows, d)) for rows in (vocab, longest))
        self.blocks = nn.ModuleList(nn.Module() for _ in range(layers))
        self.top = nn.LayerNorm(d)
        parts, joined = ((3, h, d // h), (h, d // h)) if axes else ((3 * d,), (d,))
        for each in self.blocks:
            each.i, each.i0 = nn.Parameter(torch.randn(d, *parts)), nn.Parameter(torch.randn(*parts))
            each.o, each.o0 = nn.Parameter(torch.randn(*joined, d)), nn.Parameter(torch.randn(d))
            each.w1, each.b1 = nn.Parameter(torch.randn(d, f)), nn.Parameter(torch.randn(f))
            each.w2, each.b2 = nn.Parameter(torch.randn(f, d)), nn.Parameter(torch.randn(d))
            each.n1, each.n2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, ids, mask=None):
        x = torch.nn.functional.embedding(ids, self.words) + self.places[: ids.shape[1]]
        seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        seen = seen if mask is None else seen & mask[:, None, None]
        for each in self.blocks:
            q, k, v = torch.einsum("btd,dpc->pbtc", each.n1(x), each.i.flatten(2) if self.axes else self.cut(each.i))
            q, k, v = (
                (one + bias).unflatten(-1, (self.h, -1)).transpose(1, 2)
                for one, bias in zip((q, k, v), each.i0.reshape(3, -1), strict=True)
            )
            scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~seen, torch.finfo(x.dtype).min)
            read = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
            x = x + read @ each.o.reshape(read.shape[-1], -1) + each.o0
            x = x + torch.relu(each.n2(x) @ each.w1 + each.b1) @ each.w2 + each.b2
        return self.top(x) @ self.words.mT

    @staticmethod
    def cut(matrix):
        return matrix.unflatten(-1, (3, -1))
