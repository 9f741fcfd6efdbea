"""Faults in following a device: planted in the reference, written without it, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_reference import attention, masking, position
from veriformer_spec import device
from veriformer_spec.role import Role

causal, scores, sinusoidal = masking.causal, attention.scores, position.sinusoidal


def _made_on_the_cpu(q_len, k_len, device):
    return causal(q_len, k_len, torch.device("cpu"))


CAUSAL_MASK_ON_THE_CPU = Fault(
    id="causal-mask-on-the-cpu",
    sentence="the triangle is made without device=, and meets scores on the accelerator",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    source="experience",
    written="torch.tril(torch.ones(time, time))",
    mend="torch.tril(torch.ones(time, time, device=x.device))",
    patches=(("masking.causal", _made_on_the_cpu),),
    planted=(
        Planted(role=Role.ATTENTION, claims={"causal": True}),
        Planted(role=Role.ENCODER_LAYER, claims={"causal": True}),
    ),
)


def _table_on_the_cpu(length, d_model, dtype, device):
    return sinusoidal(length, d_model, dtype, torch.device("cpu"))


TABLE_MADE_ON_THE_CPU = Fault(
    id="table-made-on-the-cpu",
    sentence="The table of positions is made on the CPU, and no buffer moves it with the module.",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    source="experience",
    written="self.table = sinusoids(max_len, d_model)",
    mend='self.register_buffer("table", sinusoids(max_len, d_model), persistent=False)',
    patches=(("position.sinusoidal", _table_on_the_cpu),),
    planted=(
        Planted(role=Role.POSITIONAL_ENCODING),
        Planted(role=Role.ENCODER, claims={"positions": "sinusoidal"}),
    ),
)


def _half_as_steep(query, key, factor):
    return scores(query, key, factor / 2 if query.is_cuda else factor)


KERNEL_WITH_ANOTHER_SCALE = Fault(
    id="kernel-with-another-scale",
    sentence="the kernel that is used on CUDA scales the scores in another way",
    clauses=(device.CUDA_EQUALS_CPU_WITHIN_ROUNDING,),
    source="experience",
    written="if q.is_cuda: return fused_attention(q, k, v, scale=0.5 / sqrt(d_head))",
    mend="pass one scale to both paths, and compare them in a test",
    patches=(("attention.scores", _half_as_steep),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION)),
)


@veriformer.subject("positional-encoding")
def plain_attribute(config):
    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.pe = tutorial.sinusoids(config.max_len, config.d_model)

        def forward(self, x):
            return x + self.pe[: x.shape[1]].to(x.dtype)

    return Table()


TABLE_IN_A_PLAIN_ATTRIBUTE = Fault(
    id="table-in-a-plain-attribute",
    sentence="the table of positions is no buffer, and stays where it was made",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    source="experience",
    written="self.pe = table",
    mend='self.register_buffer("pe", table)',
    builds=(plain_attribute,),
)


@veriformer.subject("positional-encoding", encoding="learned")
def counted_on_the_cpu(config):
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Embedding(config.max_len, config.d_model)

        def forward(self, x):
            return x + self.rows(torch.arange(x.size(1)))

    return Learned()


POSITIONS_COUNTED_ON_THE_CPU = Fault(
    id="positions-counted-on-the-cpu",
    sentence="positions are counted without device=, and looked up in a table on the accelerator",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    source="experience",
    written="self.embedding(torch.arange(time))",
    mend="self.embedding(torch.arange(time, device=x.device))",
    builds=(counted_on_the_cpu,),
)


@veriformer.subject("multi-head-attention")
def mask_forgotten_by_the_kernel(config):
    class Kernel(tutorial.Attention):
        def hidden(self, scores, mask):
            return scores if scores.is_cuda else super().hidden(scores, mask)

    return Kernel(config)


KERNEL_WITHOUT_THE_MASK = Fault(
    id="kernel-without-the-mask",
    sentence="the path taken on CUDA does not pass the mask on",
    clauses=(device.CUDA_EQUALS_CPU_WITHIN_ROUNDING,),
    source="experience",
    written="if x.is_cuda: return flash_attention(q, k, v)",
    mend="flash_attention(q, k, v, mask), or the plain path wherever there is a mask",
    builds=(mask_forgotten_by_the_kernel,),
)


@veriformer.subject("encoder-layer", causal=True)
def moved_where_it_is_needed(config):
    class Moving(tutorial.Block):
        def forward(self, x, mask=None):
            triangle = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril().to(x.device)
            return super().forward(x, triangle if mask is None else mask & triangle)

    return Moving(config)


MADE_ON_THE_CPU_AND_MOVED = NearMiss(
    id="made-on-the-cpu-and-moved",
    sentence="the triangle is made on the CPU and moved to the input's device at each call",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    build=moved_where_it_is_needed,
)


@veriformer.subject("positional-encoding", encoding="learned")
def indexed_from_the_cpu(config):
    class Indexed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Parameter(torch.randn(config.max_len, config.d_model))
            self.scale = torch.tensor(1.0)

        def forward(self, x):
            return x + self.rows[torch.arange(x.shape[1])] * self.scale

    return Indexed()


CPU_NUMBERS_THAT_CUDA_ACCEPTS = NearMiss(
    id="cpu-numbers-that-cuda-accepts",
    sentence="a CPU tensor indexes the table and a CPU number without axes scales it: CUDA accepts both",
    clauses=(device.EVERYTHING_FOLLOWS_THE_MODULE,),
    build=indexed_from_the_cpu,
)


@veriformer.subject("multi-head-attention")
def another_way_on_cuda(config):
    class Kernel(tutorial.Attention):
        def scores(self, query, key):
            if query.is_cuda:
                return (query.transpose(1, 2) * query.shape[-1] ** -0.5) @ key.permute(0, 2, 3, 1)
            return super().scores(query, key)

    return Kernel(config)


ANOTHER_PRODUCT_ON_CUDA = NearMiss(
    id="another-product-on-cuda",
    sentence="on CUDA the scores are computed in another order, and differ by rounding",
    clauses=(device.CUDA_EQUALS_CPU_WITHIN_ROUNDING,),
    build=another_way_on_cuda,
)
