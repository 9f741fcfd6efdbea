"""The simulated device refuses what CUDA refuses, and accepts what CUDA accepts; each test in a process of its own."""

# mypy: ignore-errors
# Subjects as users write them: without types.

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer import forked, simulated_device
from veriformer.faults import tutorial
from veriformer.faults.fault import declared
from veriformer.judge import Effort, judge
from veriformer.outcome import Violation
from veriformer.preflight import prepared
from veriformer.property import properties
from veriformer.verdict import Status
from veriformer_spec import device

CLAUSE = device.EVERYTHING_FOLLOWS_THE_MODULE


def verdict(role: str, make, **claims):
    subject = prepared(declared(veriformer.subject(role, **claims)(make))).subject
    return judge(CLAUSE, properties()[CLAUSE.id], subject, Effort(examples=2, shrink=False))


def changed(base, **methods):
    return type("Changed", (base,), methods)


def _cpu_triangle(self, scores, mask):
    return scores.masked_fill(torch.tril(torch.ones(scores.shape[-2:])) == 0, float("-inf"))


def _list_of_linears(config):
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(config.d_model, config.d_ff)
            self.rest = [nn.Linear(config.d_ff, config.d_model)]

        def forward(self, x):
            return self.rest[0](self.first(x).relu())

    return Listed()


class _Table(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rows = nn.Embedding(config.max_len, config.d_model)
        self.pe = tutorial.sinusoids(config.max_len, config.d_model)


WRONG = {
    "tril on the CPU": ("multi-head-attention", changed(tutorial.Attention, hidden=_cpu_triangle), {"masks": "none"}),
    "table in a plain attribute": (
        "positional-encoding",
        changed(_Table, forward=lambda s, x: x + s.pe[: x.shape[1]].to(x)[0:1] + s.pe[:1]),
        {},
    ),
    "list of layers": ("feed-forward", _list_of_linears, {}),
    "arange into an embedding": (
        "positional-encoding",
        changed(_Table, forward=lambda s, x: x + s.rows(torch.arange(x.shape[1]))),
        {"encoding": "learned"},
    ),
    "output on the CPU": ("feed-forward", changed(tutorial.FeedForward, forward=lambda s, x: torch.zeros(x.shape)), {}),
    "numpy on the way": (
        "feed-forward",
        changed(tutorial.FeedForward, forward=lambda s, x: torch.from_numpy(x.detach().numpy()).to(x.device)),
        {},
    ),
    "clamp with a CPU number": (
        "feed-forward",
        changed(tutorial.FeedForward, forward=lambda s, x: torch.clamp(x, min=torch.tensor(0.0, dtype=x.dtype))),
        {},
    ),
    "random numbers from a CPU generator": (
        "feed-forward",
        changed(
            tutorial.FeedForward,
            forward=lambda s, x: (
                x + 0 * torch.rand(x.shape, generator=torch.Generator(), device=x.device, dtype=x.dtype)
            ),
        ),
        {},
    ),
}


def _library_layer(config):
    layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, dropout=0.1, batch_first=True)
    return layer, lambda m, x, mask=None: m(
        x, None if mask is None else ~mask.expand(len(x), config.heads, x.shape[1], -1).flatten(0, 1)
    )


def _library_attention(config):
    module = nn.MultiheadAttention(config.d_model, config.heads, batch_first=True)
    return module, lambda m, q, k, mask=None: m(
        q, k, k, attn_mask=None if mask is None else ~mask.expand(len(q), config.heads, q.shape[1], -1).flatten(0, 1)
    )[0]


RIGHT = {
    "tutorial layer": ("encoder-layer", tutorial.Block, {}),
    "torch's encoder layer": ("encoder-layer", _library_layer, {}),
    "torch's attention": ("multi-head-attention", _library_attention, {}),
    "torch's norm": ("layer-norm", lambda c: nn.LayerNorm(c.d_model), {}),
    "item in control flow": (
        "feed-forward",
        changed(
            tutorial.FeedForward, forward=lambda s, x: s.outer(s.inner(x).relu()) if x.abs().max().item() >= 0 else x
        ),
        {},
    ),
    "is_cuda asked": (
        "feed-forward",
        changed(
            tutorial.FeedForward,
            forward=lambda s, x: s.outer(s.inner(x).relu()) + (torch.zeros(3).to(x).sum() if x.is_cuda else 0),
        ),
        {},
    ),
    "format and tolist": (
        "feed-forward",
        changed(
            tutorial.FeedForward,
            forward=lambda s, x: s.outer(s.inner(x).relu()) if f"{x.mean():.3f}" and x.tolist() else x,
        ),
        {},
    ),
    "new_zeros, full_like, tensor": (
        "feed-forward",
        changed(
            tutorial.FeedForward,
            forward=lambda s, x: (
                s.outer(s.inner(x).relu()) + x.new_zeros(1) + torch.tensor([0.0], device=x.device, dtype=x.dtype)
            ),
        ),
        {},
    ),
}


@pytest.mark.parametrize(("role", "make", "claims"), WRONG.values(), ids=WRONG)
def test_what_cuda_refuses_is_refused(role, make, claims):
    found = verdict(role, make, **claims)
    assert found.status is Status.FAIL, found
    assert "CPU" in found.evidence.message


@pytest.mark.parametrize(("role", "make", "claims"), RIGHT.values(), ids=RIGHT)
def test_what_cuda_accepts_is_accepted(role, make, claims):
    found = verdict(role, make, **claims)
    assert found.status is Status.PASS, found


def test_fused_attention_is_accepted():
    build = veriformer.subject("attention", module=None)(
        lambda config: lambda q, k, v, mask=None: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    )
    found = judge(CLAUSE, properties()[CLAUSE.id], prepared(declared(build)).subject, Effort(examples=2, shrink=False))
    assert found.status is Status.PASS, found


def test_a_device_from_global_state_is_no_fault():
    def make(config):
        where = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return type(
            "Global", (tutorial.FeedForward,), {"forward": lambda s, x: x + torch.ones(4, 1, device=where).sum(0)}
        )(config)

    assert verdict("feed-forward", make).status is Status.INCONCLUSIVE


ACCEPTED = {
    "number times": lambda x: torch.tensor(2.0) * x,
    "masked_fill with a number": lambda x: x.masked_fill(x > 0, torch.tensor(1.0)),
    "where with a number": lambda x: torch.where(x > 0, x, torch.tensor(0.0)),
    "index by a CPU tensor": lambda x: x[torch.tensor([1, 0])],
    "put by a CPU tensor": lambda x: x.clone().index_put_((torch.tensor([0]),), x[0]),
    "copied from the CPU": lambda x: x.clone().copy_(torch.ones(3, 4)),
    "moved": lambda x: x.cpu().to(x.device),
}
REFUSED = {
    "a CPU matrix": lambda x: x @ torch.ones(4, 4),
    "a CPU mask": lambda x: x.masked_fill(torch.ones(3, 4, dtype=torch.bool), 0),
    "stacked with a CPU number": lambda x: torch.stack((x.sum(), torch.tensor(1.0))),
    "added into a CPU number": lambda x: torch.tensor(1.0).add_(x.sum()),
    "concatenated": lambda x: torch.cat((x, torch.ones(1, 4))),
    "numpy": lambda x: x.numpy(),
}


@pytest.mark.parametrize("run", ACCEPTED.values(), ids=ACCEPTED)
def test_operations_that_cuda_accepts(run):
    def work():
        with simulated_device.simulated():
            x = torch.ones(3, 4).to(simulated_device.device())
            assert run(x).device.type == simulated_device.NAME

    forked.apart(work)


@pytest.mark.parametrize("run", REFUSED.values(), ids=REFUSED)
def test_operations_that_cuda_refuses(run):
    def work():
        with simulated_device.simulated() as simulation:
            x = torch.ones(3, 4).to(simulated_device.device())
            try:
                run(x)
            except simulated_device.LeftOnCpu:
                assert simulation.left
                return
        raise Violation("accepted")

    forked.apart(work)


def test_nothing_is_left_behind():
    assert verdict("feed-forward", tutorial.FeedForward).status is Status.PASS
    assert torch._C._get_privateuse1_backend_name() == "privateuseone"
