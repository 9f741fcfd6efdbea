"""Model: from token ids to logits.

Embedding, stack, head: figure 1 of Vaswani et al. 2017 from the lower edge to the last linear map. The softmax above it
belongs to the loss. A mask of a model is True at real tokens.
"""

import dataclasses
import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_reference import decoder, embedding, feed_forward, masking, normalization, parameters, position, stack
from veriformer_spec.config import Config


def scale_head(x: Float[Tensor, "batch time d_model"], claimed: str) -> Float[Tensor, "batch time d_model"]:
    """What the last layer returned, divided by sqrt(d_model) where that is claimed.

    Source:
        Raffel et al. 2020, in its code: with a tied embedding the decoder's output is scaled by d_model^-0.5
        (model.equals-the-reference).
    """
    return x / math.sqrt(x.shape[-1]) if claimed == "inverse-root-d_model" else x


def transform(
    x: Float[Tensor, "batch time d_model"], own: "Head", config: Config
) -> Float[Tensor, "batch time d_model"]:
    """Where it is claimed: a linear map, the nonlinearity of the feed-forward networks (ungated), and a norm.

    Args:
        own: the parameters.

    Source:
        Devlin et al. 2019, section 3.1, and its code, get_masked_lm_output (model.equals-the-reference).
    """
    if own.transform is None or own.norm is None:
        return x
    name = feed_forward.GATED.get(config.activation, config.activation)
    mapped = feed_forward.contract(x, own.transform.weight, own.transform.bias)
    result: Tensor = own.norm(feed_forward.activate(name, mapped))
    return result


def project(
    x: Float[Tensor, "batch time d_model"],
    weight: Float[Tensor, "vocab d_model"],
    bias: Float[Tensor, " vocab"] | None,
) -> Float[Tensor, "batch time vocab"]:
    """One logit for each word of the vocabulary: how well the word's row matches the token.

    x Eᵀ + b, and no softmax.

    Source:
        Vaswani et al. 2017, section 3.4 and figure 1 (model.logits-cover-the-vocabulary).
    """
    return x @ weight.mT if bias is None else x @ weight.mT + bias


def output_weight(own: "Head", tokens: embedding.TokenEmbedding) -> Float[Tensor, "vocab d_model"]:
    """The head's own weight, or the very tensor of the token embedding where they are tied.

    Source:
        Vaswani et al. 2017, section 3.4; Press and Wolf 2017, section 3 (embedding.tied-weights-are-one-tensor).
    """
    return tokens.table if own.output is None else own.output.weight


def logits(
    x: Float[Tensor, "batch time d_model"], tokens: embedding.TokenEmbedding, own: "Head", config: Config
) -> Float[Tensor, "batch time vocab"]:
    """From what the last layer returned to one logit for each word.

    Args:
        tokens: the embedding, whose table is the output projection too where they are tied.
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.4 and figure 1 (model.logits-cover-the-vocabulary, model.equals-the-reference).
    """
    ready = transform(scale_head(x, config.head_scale), own, config)
    return project(ready, output_weight(own, tokens), own.bias)


def positions(mask: Bool[Tensor, "batch time"] | None) -> Int[Tensor, "batch time"] | None:
    """The positions of the tokens: real ones counted from zero in every row, or plainly 0, 1, 2, ... without a mask.

    Source:
        Vaswani et al. 2017, section 3.5 (masking.padding-may-stand-where-claimed,
        model.one-token-and-the-longest-length-work).
    """
    return None if mask is None else position.real_positions(mask)


def language_model(
    ids: Int[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"] | None,
    segments: Int[Tensor, "batch time"] | None,
    own: "LanguageModel",
    config: Config,
) -> Float[Tensor, "batch time vocab"]:
    """Embed the ids, run the stack, and ask the head for logits.

    Whether the stack is causal makes all the difference between a causal and a masked language model.

    Args:
        own: the parameters.

    Source:
        Radford et al. 2019, section 2; Devlin et al. 2019, section 3 (model.equals-the-reference,
        model.symmetric-weights-give-the-known-output,
        model.an-empty-sequence-raises-or-is-empty, model.a-row-of-padding-stays-in-its-row, model.norms-stand-as-claimed).
    """
    tokens = own.embedding(ids, segments)
    states = own.stack(tokens, masking.for_every_query(mask), positions(mask))
    return logits(states, own.embedding, own.head, config)


def encoder_decoder(
    source: Int[Tensor, "batch source"],
    target: Int[Tensor, "batch target"],
    source_mask: Bool[Tensor, "batch source"] | None,
    target_mask: Bool[Tensor, "batch target"] | None,
    own: "EncoderDecoder",
    config: Config,
) -> Float[Tensor, "batch target vocab"]:
    """Encode the source; decode the target with the source's states as memory; ask the head for logits.

    The source's mask hides its padding twice: from the encoder, and from the decoder's cross-attention.

    Args:
        own: the parameters.

    Source:
        Vaswani et al. 2017, section 3.1 and figure 1 (model.the-encoder-never-sees-the-target,
        masking.source-padding-is-invisible-to-the-target, model.a-row-of-padding-stays-in-its-row).
    """
    visible = masking.for_every_query(source_mask)
    memory = own.encoder(own.embedding(source), visible, positions(source_mask))
    tokens = own.target_tokens(target)
    states = own.decoder(tokens, memory, masking.for_every_query(target_mask), visible, positions(target_mask))
    return logits(states, own.target_tokens, own.head, config)


def encoder_side(config: Config) -> Config:
    """The claims of the encoder in an encoder-decoder: the source is seen as a whole.

    Source:
        Vaswani et al. 2017, section 3.2.3: each position in the encoder can attend to all positions
        (model.the-encoder-never-sees-the-target).
    """
    return dataclasses.replace(config, causal=False)


def causal(config: Config) -> Config:
    """The claims of a stack that writes from left to right.

    Source:
        Vaswani et al. 2017, section 3.1 (masking.causal-outputs-ignore-the-future).
    """
    return dataclasses.replace(config, causal=True)


class Head(nn.Module):
    """Parameters, where claimed, of ``transform`` and its ``norm``, of ``output`` (none where tied), and ``bias``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        transforms = config.head == "transform"
        self.transform = parameters.Linear(config.d_model, config.d_model, bias=config.bias) if transforms else None
        self.norm = normalization.as_claimed(config) if transforms else None
        self.output = None if config.tied else parameters.Linear(config.d_model, config.vocab, bias=False)
        started = nn.init.normal_(torch.empty(config.vocab), std=0.02)
        self.bias = nn.Parameter(started) if config.head_bias else None


class LanguageModel(nn.Module):
    """Parameters of ``embedding``, ``stack`` and ``head``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding.TokenEmbedding(config)
        self.stack = stack.Encoder(config)
        self.stack.drops = True
        self.head = Head(config)


class CausalLM(LanguageModel):
    """A language model that never sees the future."""

    def __init__(self, config: Config) -> None:
        super().__init__(causal(config))

    def forward(
        self, ids: Int[Tensor, "batch time"], mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time vocab"]:
        """``mask`` is True at real tokens."""
        return language_model(ids, mask, None, self, self.config)


class MaskedLM(LanguageModel):
    """A language model that sees the whole sequence."""

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        mask: Bool[Tensor, "batch time"] | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch time vocab"]:
        """``mask`` is True at real tokens; ``segments`` are passed only where they are claimed."""
        return language_model(ids, mask, segments, self, self.config)


class EncoderDecoder(nn.Module):
    """Parameters of ``embedding`` (the source's), ``target_embedding`` (none where tied), ``encoder``, ``decoder``, ``head``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding.TokenEmbedding(config)
        self.target_embedding = None if config.tied else embedding.TokenEmbedding(config)
        self.encoder = stack.Encoder(encoder_side(config))
        self.decoder = decoder.Decoder(causal(config))
        self.encoder.drops = self.decoder.drops = True
        self.head = Head(config)

    @property
    def target_tokens(self) -> embedding.TokenEmbedding:
        """The embedding of the target: the source's own, where all three tables are one."""
        return self.embedding if self.target_embedding is None else self.target_embedding

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch source"] | None = None,
        target_mask: Bool[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Masks are True at real tokens; ``target`` is what the decoder reads, already offset by one."""
        return encoder_decoder(source, target, source_mask, target_mask, self, self.config)
