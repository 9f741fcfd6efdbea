"""Faults in what a subject owes its caller, written as tutorials write a Transformer."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import sys

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault
from veriformer_spec import state, training


@veriformer.subject("multi-head-attention")
def weights_come_along(config):
    class WithWeights(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(config.d_model, config.heads, batch_first=True)

        def forward(self, query, memory, mask=None):
            hidden = None if mask is None else ~mask.expand(-1, config.heads, -1, -1).flatten(0, 1)
            return self.inner(query, memory, memory, attn_mask=hidden)

    return WithWeights()


ATTENTION_WEIGHTS_RETURNED_TOO = Fault(
    id="attention-weights-returned-too",
    sentence="the call returns output and attention weights, as nn.MultiheadAttention does",
    clauses=(state.OUTPUT_HAS_THE_PROMISED_SHAPE,),
    source="experience",
    written="return self.attention(x, x, x)",
    mend="return self.attention(x, x, x, need_weights=False)[0]",
    builds=(weights_come_along,),
)


@veriformer.subject("feed-forward", activation="gelu-tanh")
def tanh_by_hand(config):
    class ByHand(tutorial.FeedForward):
        def forward(self, x):
            h = self.inner(x)
            u = 0.7978845608028654 * (h + 0.044715 * h**3)
            return self.outer(0.5 * h * (1 + (u.exp() - (-u).exp()) / (u.exp() + (-u).exp())))

    return ByHand(config)


TANH_FROM_EXPONENTIALS = Fault(
    id="tanh-from-exponentials",
    sentence="tanh is written as a quotient of exponentials, which overflow",
    clauses=(state.FINITE_INPUTS_GIVE_FINITE_OUTPUTS,),
    source="experience",
    written="(exp(u) - exp(-u)) / (exp(u) + exp(-u))",
    mend="torch.tanh(u)",
    builds=(tanh_by_hand,),
)


@veriformer.subject("multi-head-attention")
def inverting_the_callers_mask(config):
    class Inverting(tutorial.Attention):
        def hidden(self, scores, mask):
            return scores if mask is None else scores.masked_fill(mask.logical_not_(), float("-inf"))

    return Inverting(config)


MASK_INVERTED_IN_PLACE = Fault(
    id="mask-inverted-in-place",
    sentence="the caller's mask is turned around in place: the next layer gets the opposite",
    clauses=(state.INPUTS_ARE_NOT_MODIFIED,),
    source="experience",
    written="scores.masked_fill_(mask.logical_not_(), -inf)",
    mend="mask.logical_not(), or ~mask",
    builds=(inverting_the_callers_mask,),
)


@veriformer.subject("positional-encoding", encoding="learned")
def nothing_to_add_to(config):
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.Embedding(config.max_len, config.d_model)

        def forward(self, x):
            table = self.rows.weight[: x.shape[1]]
            if torch.is_grad_enabled() or x.shape[0] > 1:
                return x + table
            return torch.add(x[0], table, out=self.row(x))[None]

        def row(self, x):
            if getattr(self, "kept", torch.empty(0)).shape != x.shape[1:] or self.kept.dtype is not x.dtype:
                self.kept = torch.empty_like(x[0])
            return self.kept

    return Learned()


OUTPUT_WRITTEN_INTO_A_KEPT_ROW = Fault(
    id="output-written-into-a-kept-row",
    sentence="for a batch of one, the result is written into a tensor that the module keeps",
    clauses=(state.OUTPUT_IS_A_NEW_TENSOR,),
    source="experience",
    written="torch.add(x, table, out=self.row)",
    mend="return x + table",
    builds=(nothing_to_add_to,),
)


@veriformer.subject("multi-head-attention")
def kernel_that_always_drops(config):
    class Fused(tutorial.Attention):
        def forward(self, query, memory, mask=None):
            weights, biases = self.in_proj.weight.chunk(3), self.in_proj.bias.chunk(3)
            q, k, v = (
                F.linear(*each).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for each in zip((query, memory, memory), weights, biases, strict=True)
            )
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.rate)
            return self.out_proj(out.transpose(1, 2).flatten(2))

    return Fused(config)


KERNEL_DROPS_IN_EVALUATION = Fault(
    id="kernel-drops-in-evaluation",
    sentence="dropout_p goes to the fused kernel whatever the mode; the kernel knows no mode",
    clauses=(state.EVALUATION_IS_DETERMINISTIC,),
    source="arXiv 2604.28118 (DEFault++), operator KMD; PyTorch documentation of scaled_dot_product_attention warns of it",
    written="F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)",
    mend="dropout_p=self.p if self.training else 0.0",
    builds=(kernel_that_always_drops,),
)


@veriformer.subject("encoder-layer")
def normalised_by_the_batch(config):
    class Batched(nn.BatchNorm1d):
        def forward(self, x):
            return super().forward(x.transpose(1, 2)).transpose(1, 2)

    block = tutorial.Block(config)
    block.norm1, block.norm2 = Batched(config.d_model), Batched(config.d_model)
    return block


BATCH_STATISTICS = Fault(
    id="batch-statistics",
    sentence="BatchNorm stands where LayerNorm should: rows see each other in training, and training changes evaluation",
    clauses=(state.BATCH_ROWS_ARE_INDEPENDENT, state.ONE_FUNCTION_IN_EVERY_MODE, state.CALLS_ARE_INDEPENDENT),
    source="experience",
    written="self.norm = nn.BatchNorm1d(d_model)",
    mend="self.norm = nn.LayerNorm(d_model)",
    builds=(normalised_by_the_batch,),
)


@veriformer.subject("encoder-layer")
def growing_default(config):
    class Remembering(tutorial.Block):
        def forward(self, x, mask=None, seen=[]):  # noqa: B006  # the fault
            seen.append(x.detach().mean())
            return super().forward(
                x + 0.01 * torch.stack(seen[-3:-1] or seen[:0] or [x.new_zeros(())]).sum().to(x), mask
            )

    return Remembering(config)


DEFAULT_ARGUMENT_GROWS = Fault(
    id="default-argument-grows",
    sentence="a list that is a default argument lives through all calls, and what it gathers enters the output",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="x-transformers 0.7.1, https://github.com/lucidrains/x-transformers/commit/208d70d, where a default list was popped",
    written="def forward(self, x, memories=[]): memories.append(...)",
    mend="memories=None, and memories = [] if memories is None else memories",
    builds=(growing_default,),
)


@veriformer.subject("encoder-layer")
def sequence_first(config):
    inner = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, dropout=config.dropout)
    return inner, lambda layer, x, mask=None: layer(x)


SEQUENCE_FIRST_MODULE = Fault(
    id="sequence-first-module",
    sentence="a module that reads its input time first is given it batch first: rows of the batch attend to each other",
    clauses=(state.BATCH_ROWS_ARE_INDEPENDENT,),
    source="experience",
    written="nn.TransformerEncoderLayer(d_model, heads)",
    mend="nn.TransformerEncoderLayer(d_model, heads, batch_first=True)",
    builds=(sequence_first,),
)


@veriformer.subject("feed-forward")
def flattened_by_view(config):
    class Flat(tutorial.FeedForward):
        def forward(self, x):
            return super().forward(x.view(-1, config.d_model)).view(x.shape)

    return Flat(config)


@veriformer.subject("feed-forward")
def strides_ignored(config):
    class Kernel(tutorial.FeedForward):
        def forward(self, x):
            straight = torch.empty(x.shape, device="meta").stride()
            return super().forward(torch.as_strided(x, x.shape, straight, x.storage_offset()))

    return Kernel(config)


STRIDES_IGNORED = Fault(
    id="strides-ignored",
    sentence="memory is read as if it were contiguous, whatever the strides say",
    clauses=(state.LAYOUT_DOES_NOT_MATTER,),
    source="experience",
    written="kernel(x.data_ptr(), x.shape)",
    mend="x = x.contiguous() first, or pass the strides to the kernel",
    builds=(strides_ignored,),
)
FLATTENED_BY_VIEW = Fault(
    id="flattened-by-view",
    sentence="tokens are flattened by view(), which refuses transposed and expanded inputs",
    clauses=(state.LAYOUT_DOES_NOT_MATTER,),
    source="experience",
    written="x.view(-1, d_model)",
    mend="x.reshape(-1, d_model), or let nn.Linear take any leading axes",
    builds=(flattened_by_view,),
)


@veriformer.subject("layer-norm")
def statistics_squeezed(config):
    class Squeezing(nn.LayerNorm):
        def forward(self, x):
            mean, variance = x.mean(-1).squeeze()[..., None], x.var(-1, unbiased=False).squeeze()[..., None]
            return (x - mean) / (variance + self.eps).sqrt() * self.weight + self.bias

    return Squeezing(config.d_model, eps=config.eps)


STATISTICS_SQUEEZED = Fault(
    id="statistics-squeezed",
    sentence="the statistics are squeezed, and broadcast along another axis where one has the size one",
    clauses=(state.ONE_TOKEN_AND_ONE_ROW_WORK,),
    source="experience",
    written="x.mean(-1).squeeze().unsqueeze(-1)",
    mend="x.mean(-1, keepdim=True)",
    builds=(statistics_squeezed,),
)


@veriformer.subject("feed-forward")
def features_cut(config):
    class Cutting(tutorial.FeedForward):
        def forward(self, x):
            missing = max(0, config.d_model - x.shape[-1])
            return super().forward(F.pad(x, (0, missing))[..., : config.d_model])

    return Cutting(config)


FEATURES_CUT_TO_FIT = Fault(
    id="features-cut-to-fit",
    sentence="an input with another number of features is cut, or filled with zeros, until it fits",
    clauses=(state.A_BAD_SHAPE_RAISES,),
    source="experience",
    written="x = x[..., : self.d_model]",
    mend="raise ValueError, with both numbers",
    builds=(features_cut,),
)


@veriformer.subject("multi-head-attention")
def default_dtype_switched(config):
    class Switching(tutorial.Attention):
        def hidden(self, scores, mask):
            torch.set_default_dtype(torch.float64)
            return super().hidden(scores, mask)

    return Switching(config)


@veriformer.subject("feed-forward")
def gradients_switched_off(config):
    class Frozen(tutorial.FeedForward):
        def forward(self, x):
            torch.set_grad_enabled(False)
            return super().forward(x)

    return Frozen(config)


DEFAULT_DTYPE_SWITCHED = Fault(
    id="default-dtype-switched",
    sentence="the forward pass sets the default dtype of the whole process",
    clauses=(state.CALLER_STATE_IS_RESTORED,),
    source="experience",
    written="torch.set_default_dtype(torch.float64)",
    mend="name the dtype where the tensor is made",
    builds=(default_dtype_switched,),
)
GRADIENTS_SWITCHED_OFF = Fault(
    id="gradients-switched-off",
    sentence="gradients are switched off and never on again: nothing after this call trains",
    clauses=(state.CALLER_STATE_IS_RESTORED, training.EVERY_PARAMETER_GETS_A_GRADIENT),
    source="experience",
    written="torch.set_grad_enabled(False)",
    mend="with torch.no_grad():, around what needs no gradient",
    builds=(gradients_switched_off,),
)


@veriformer.subject("layer-norm")
def warned_by_print(config):
    class Chatty(nn.LayerNorm):
        def forward(self, x):
            if not self.training:
                sys.stderr.write(f"std {float(x.std()):.3f}\n")
            return super().forward(x)

    return Chatty(config.d_model, eps=config.eps)


PROGRESS_ON_STANDARD_ERROR = Fault(
    id="progress-on-standard-error",
    sentence="statistics are written to standard error at each call",
    clauses=(state.CALLS_ARE_SILENT,),
    source="experience",
    written="sys.stderr.write(...)",
    mend="take it out, or use logging.debug",
    builds=(warned_by_print,),
)


@veriformer.subject("feed-forward")
def capped_when_served(config):
    class Capped(tutorial.FeedForward):
        def forward(self, x):
            hidden = self.inner(x)
            return self.outer(hidden.relu() if self.training else F.relu6(hidden))

    return Capped(config)


ACTIVATION_CAPPED_IN_EVALUATION = Fault(
    id="activation-capped-in-evaluation",
    sentence="prepared for quantisation, evaluation caps the activation at 6, which training does not",
    clauses=(state.ONE_FUNCTION_IN_EVERY_MODE,),
    source="experience",
    written="F.relu(x) if self.training else F.relu6(x)",
    mend="one activation for both modes",
    builds=(capped_when_served,),
)
