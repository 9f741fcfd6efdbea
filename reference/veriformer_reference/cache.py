"""Cache: a causal language model goes on from what it has already read.

A token never sees the future, so what a layer made of it stays true however the text goes on. Its keys and values are kept
for each layer, and only the new tokens are computed. The cache is a value: a step returns a longer one and leaves the old one
as it was, so that any number of runs can go on from it. Nothing is dropped from it: a sliding window is a mask.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from veriformer_reference import heads, masking, model, position, residual, stack
from veriformer_spec.config import Config


@dataclass(frozen=True)
class Layer:
    """What one layer keeps of the tokens that it has read.

    Attributes:
        keys: normalised and placed as claimed.
        values: as they were projected.
    """

    keys: Float[Tensor, "batch kv_heads past d_head"]
    values: Float[Tensor, "batch kv_heads past d_head"]


@dataclass(frozen=True)
class Cache:
    """What a model keeps of the tokens that it has read.

    Attributes:
        layers: first to last; where layers share their parameters, each still keeps what it made itself.
        real: True at real tokens. With it the positions are known, which count real tokens only.
    """

    layers: tuple[Layer, ...]
    real: Bool[Tensor, "batch past"]


def start(own: model.CausalLM, batch: int, _longest: int) -> Cache:
    """The cache before anything is read. It grows as it is used, and so needs no longest length.

    Source:
        Shazeer 2019, section 2.4 (cache.chunks-equal-the-full-pass).
    """
    table, config = own.embedding.table, own.config
    nothing = table.new_zeros(batch, config.kv_heads, 0, config.d_head)
    real = torch.zeros(batch, 0, dtype=torch.bool, device=table.device)
    return Cache((Layer(nothing, nothing),) * config.layers, real)


def tokens_so_far(
    real: Bool[Tensor, "batch past"], ids: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch _"] | None
) -> Bool[Tensor, "batch _"]:
    """Which tokens are real, past and new: as the caller says, or without a mask the past as it was and all new ones.

    Source:
        Vaswani et al. 2017, section 3.2.3 (cache.padding-in-the-past-stays-hidden).
    """
    return torch.cat((real, torch.ones_like(ids, dtype=torch.bool)), dim=1) if mask is None else mask


def attention_input(
    x: Float[Tensor, "batch time d_model"], own: stack.EncoderLayer, config: Config
) -> Float[Tensor, "batch time d_model"]:
    """What keys and values are made of: the layer's input, normalised first where the layer is pre-norm.

    Source:
        Xiong et al. 2020, section 3.2 (cache.one-by-one-equals-the-full-pass).
    """
    normal: Tensor = own.attention_norm(x) if config.norm == "pre" else x
    return normal


def remember(
    past: Layer,
    x: Float[Tensor, "batch time d_model"],
    positions: Int[Tensor, "batch time"],
    own: heads.MultiHeadAttention,
    config: Config,
) -> Layer:
    """The keys and values of the new tokens, at their own positions, behind those of the past.

    Source:
        Shazeer 2019, section 2.4 (cache.one-by-one-equals-the-full-pass, cache.a-cache-belongs-to-its-caller,
        cache.nothing-is-rounded-in-the-cache).
    """
    keys = torch.cat((past.keys, heads.keys(x, positions, own, config)), dim=-2)
    return Layer(keys, torch.cat((past.values, heads.values(x, own, config)), dim=-2))


def new_positions(positions: Int[Tensor, "batch _"], time: int) -> Int[Tensor, "batch time"]:
    """The positions of the new tokens, which are the last.

    Source:
        Vaswani et al. 2017, section 3.5 (cache.one-by-one-equals-the-full-pass).
    """
    return positions[:, positions.shape[1] - time :]


def look_back(
    tokens: Float[Tensor, "batch time d_model"],
    known: Layer,
    real: Bool[Tensor, "batch k_len"],
    positions: Int[Tensor, "batch k_len"],
    own: heads.MultiHeadAttention,
    config: Config,
) -> Float[Tensor, "batch time d_model"]:
    """Queries of the new tokens, which are the last; keys and values of all.

    Args:
        own: the parameters.

    Source:
        Shazeer 2019, section 2.4 (cache.chunks-equal-the-full-pass).
    """
    new = new_positions(positions, tokens.shape[1])
    queries = heads.queries(tokens, new, own, config)
    return heads.look(queries, known.keys, known.values, masking.for_every_query(real), new, positions, own, config)


def layer_step(
    x: Float[Tensor, "batch time d_model"],
    past: Layer,
    real: Bool[Tensor, "batch k_len"],
    positions: Int[Tensor, "batch k_len"],
    own: stack.EncoderLayer,
    config: Config,
) -> tuple[Float[Tensor, "batch time d_model"], Layer]:
    """One layer, for the new tokens: they look at the past and at each other.

    Fewer causal queries than keys are the last ones, whatever the number of new tokens; a sliding window counts positions
    across the seam of past and new.

    Args:
        positions: of all tokens, past and new.
        own: the parameters, and whether they are in training.

    Source:
        Shazeer 2019, section 2.4; Jiang et al. 2023, section 2 (cache.one-by-one-equals-the-full-pass,
        cache.chunks-equal-the-full-pass, cache.a-sliding-window-holds-across-the-cache, cache.cached-rows-are-independent).
    """
    new = new_positions(positions, x.shape[1])
    known = remember(past, attention_input(x, own, config), new, own.attention, config)

    attend = partial(look_back, known=known, real=real, positions=positions, own=own.attention, config=config)
    connect = partial(residual.connect, config.norm, rate=config.dropout, training=own.training)
    seen = connect(x, attend, own.attention_norm)
    return connect(seen, own.feed_forward, own.feed_forward_norm), known


def step(
    own: model.CausalLM, ids: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch _"] | None, cache: Cache
) -> tuple[Float[Tensor, "batch time vocab"], Cache]:
    """Read the new tokens: their logits, and the cache with them in it.

    Args:
        mask: True at real tokens, past and new.
        cache: what was read before; it is not changed.

    Source:
        Shazeer 2019, section 2.4; Vaswani et al. 2017, equation 1 (cache.one-by-one-equals-the-full-pass,
        cache.chunks-equal-the-full-pass, cache.padding-in-the-past-stays-hidden, cache.a-cache-belongs-to-its-caller).
    """
    real = tokens_so_far(cache.real, ids, mask)
    positions = position.real_positions(real)
    x = stack.bottom(
        own.embedding(ids), own.stack, own.config, new_positions(positions, ids.shape[1]), length=real.shape[1]
    )
    layers = []
    for layer, past in zip(stack.in_order(own.stack.layers, own.config), cache.layers, strict=True):
        assert isinstance(layer, stack.EncoderLayer)
        x, known = layer_step(x, past, real, positions, layer, own.config)
        layers.append(known)
    return model.logits(stack.top(x, own.stack), own.embedding, own.head, own.config), Cache(tuple(layers), real)


def reorder(_own: model.CausalLM, cache: Cache, rows: Int[Tensor, " _"]) -> Cache:
    """The cache of other rows: those in ``rows``, in that order and as often as they stand there.

    Source:
        Vaswani et al. 2017, section 6.1: beam search (cache.reordering-follows-the-rows).
    """
    return Cache(tuple(Layer(layer.keys[rows], layer.values[rows]) for layer in cache.layers), cache.real[rows])


def copy(_own: model.CausalLM, cache: Cache) -> Cache:
    """The cache itself: nobody changes it.

    Source:
        Veriformer (cache.a-cache-belongs-to-its-caller).
    """
    return cache
