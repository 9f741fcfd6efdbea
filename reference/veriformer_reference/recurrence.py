"""Recurrence: an encoder-decoder of gated recurrent units with additive attention, where attention began.

Bahdanau et al. 2015: the encoder reads the source in both directions; at each step the decoder looks at what was read,
with its state as the query. Their W_a, U_a and v_a are ``query``, ``memory`` and ``score`` here; their annotations h are
the ``memory``, twice as wide as a token because two directions stand side by side.

The unit is the one that PyTorch computes: the reset gate falls on the recurrent term after its linear map. Cho et al.
2014 put it before. There is one layer, as in the paper, and claims about Transformer layers mean nothing to it.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from veriformer_reference import attention, embedding, model, parameters
from veriformer_spec.config import Config


def linear(x: Float[Tensor, "*batch _"], own: parameters.Linear) -> Float[Tensor, "*batch _"]:
    """A linear map: x Wᵀ + b, and no b where none is claimed.

    Source:
        Bahdanau et al. 2015, appendix A.1 (recurrence.additive-attention-equals-its-equation).
    """
    return x @ own.weight.mT if own.bias is None else x @ own.weight.mT + own.bias


def additive_scores(
    query: Float[Tensor, "batch q_len _"], memory: Float[Tensor, "batch k_len _"], own: "AdditiveAttention"
) -> Float[Tensor, "batch q_len k_len"]:
    """How well each memory vector matches each query: a small network's opinion.

    vᵀ tanh(W query + U memory) (appendix A.1.2).

    Source:
        Bahdanau et al. 2015, appendix A.1.2 (recurrence.additive-attention-equals-its-equation).
    """
    pairs = linear(query, own.query)[:, :, None] + linear(memory, own.memory)[:, None]
    return linear(torch.tanh(pairs), own.score)[..., 0]


def additive_attention(
    query: Float[Tensor, "batch q_len _"],
    memory: Float[Tensor, "batch k_len d_memory"],
    mask: Bool[Tensor, "#batch 1 #q_len k_len"] | None,
    own: "AdditiveAttention",
) -> Float[Tensor, "batch q_len d_memory"]:
    """The memory, averaged for each query with weights that a softmax makes of the scores.

    c = Σⱼ αⱼ hⱼ, where α = softmax over j of vᵀ tanh(W query + U hⱼ) (equations 5 and 6).

    Args:
        mask: True where a query may look; a query that may look nowhere gets zeros.

    Source:
        Bahdanau et al. 2015, section 3.1, equations 5 and 6 (recurrence.additive-attention-equals-its-equation,
        recurrence.symmetric-weights-give-the-known-output,
        recurrence.weights-are-exactly-a-distribution).
    """
    scores = additive_scores(query, memory, own)
    return attention.average(attention.weights(scores, None if mask is None else mask[:, 0]), memory)


class AdditiveAttention(nn.Module):
    """Parameters ``query``, ``memory`` and ``score``: linear maps without biases, which equation 6 does not have."""

    def __init__(self, query: int, memory: int, hidden: int) -> None:
        super().__init__()
        self.query = parameters.Linear(query, hidden, bias=False)
        self.memory = parameters.Linear(memory, hidden, bias=False)
        self.score = parameters.Linear(hidden, 1, bias=False)

    def forward(
        self,
        query: Float[Tensor, "batch q_len _"],
        memory: Float[Tensor, "batch k_len d_memory"],
        mask: Bool[Tensor, "#batch 1 #q_len k_len"] | None = None,
    ) -> Float[Tensor, "batch q_len d_memory"]:
        """One context for each query."""
        return additive_attention(query, memory, mask, self)


def gate(
    x: Float[Tensor, "batch _"], state: Float[Tensor, "batch d_state"], own: "Gate"
) -> Float[Tensor, "batch d_state"]:
    """A number between 0 and 1 for each feature of the state: how far a door is open.

    σ(W x + U state).

    Source:
        Cho et al. 2014, section 2.3, equations 5 and 6 (recurrence.the-context-feeds-the-decoder).
    """
    return torch.sigmoid(linear(x, own.input) + linear(state, own.state))


def unit(
    x: Float[Tensor, "batch _"], state: Float[Tensor, "batch d_state"], own: "GatedRecurrentUnit"
) -> Float[Tensor, "batch d_state"]:
    """The state after one more input: partly the old one, partly a candidate.

    (1 - z) ⊙ n + z ⊙ state, where n = tanh(W x + b + r ⊙ (U state + c)), r is ``reset`` and z ``update``.

    Source:
        Cho et al. 2014, section 2.3, equations 7 and 8; PyTorch documentation, torch.nn.GRU, for the place of r
        (recurrence.teacher-forced-equals-step-by-step).
    """
    reset, update = gate(x, state, own.reset), gate(x, state, own.update)
    candidate = torch.tanh(linear(x, own.candidate.input) + reset * linear(state, own.candidate.state))
    return (1 - update) * candidate + update * state


def where_real(
    new: Float[Tensor, "batch d_state"], old: Float[Tensor, "batch d_state"], real: Bool[Tensor, " batch"]
) -> Float[Tensor, "batch d_state"]:
    """The new state after a real token; after padding, wherever it stands, the state as it was.

    Source:
        recurrence.the-context-feeds-the-decoder.
    """
    return torch.where(real[:, None], new, old)


def read(
    tokens: Float[Tensor, "batch time d_model"], real: Bool[Tensor, "batch time"], own: "GatedRecurrentUnit"
) -> Float[Tensor, "batch time d_state"]:
    """The state after each token, from a state of zeros on, first token first.

    Source:
        Bahdanau et al. 2015, section 3.2 and appendix A.2.1 (recurrence.the-context-feeds-the-decoder).
    """
    state = tokens.new_zeros(len(tokens), own.size)
    states = []
    for time in range(tokens.shape[1]):
        state = where_real(unit(tokens[:, time], state, own), state, real[:, time])
        states.append(state)
    return side_by_side(states, tokens, own.size)


def side_by_side(
    steps: Sequence[Tensor], like: Float[Tensor, "batch _ _"], features: int
) -> Float[Tensor, "batch time features"]:
    """What each step gave, as one tensor; of no steps, an empty one.

    Source:
        Bahdanau et al. 2015, section 3.2: (h_1, ..., h_T) (recurrence.teacher-forced-equals-step-by-step).
    """
    return torch.stack(list(steps), dim=1) if steps else like.new_zeros(len(like), 0, features)


def both_ways(
    tokens: Float[Tensor, "batch time d_model"],
    real: Bool[Tensor, "batch time"],
    forwards: "GatedRecurrentUnit",
    backwards: "GatedRecurrentUnit",
) -> Float[Tensor, "batch time d_memory"]:
    """Read from the first token to the last, and from the last to the first: each token knows what stands around it.

    hⱼ = [→hⱼ; ←hⱼ] (section 3.2).

    Source:
        Bahdanau et al. 2015, section 3.2 (recurrence.the-context-feeds-the-decoder).
    """
    ahead = read(tokens, real, forwards)
    back = read(tokens.flip(1), real.flip(1), backwards).flip(1)
    return torch.cat((ahead, back), dim=-1)


def first_state(
    memory: Float[Tensor, "batch time d_memory"], start: parameters.Linear
) -> Float[Tensor, "batch d_model"]:
    """What the decoder starts from: made of the backward state at the first token, which has read the whole source.

    tanh(W ←h_1) (appendix A.2.2).

    Source:
        Bahdanau et al. 2015, appendix A.2.2 (recurrence.teacher-forced-equals-step-by-step).
    """
    backward = memory[:, 0, memory.shape[-1] // 2 :]
    return torch.tanh(linear(backward, start))


def step(
    token: Float[Tensor, "batch d_model"],
    state: Float[Tensor, "batch d_model"],
    memory: Float[Tensor, "batch k_len d_memory"],
    mask: Bool[Tensor, "batch 1 1 k_len"],
    own: "Decoder",
) -> tuple[Float[Tensor, "batch d_model"], Float[Tensor, "batch d_model"]]:
    """One step of the decoder: look at the memory with the state so far, go on, and say what comes next.

    c = attention(s, h); s' = f(s, y, c) (equation 4 and appendix A.2.2); g(y, s', c) = tanh(W [s'; y; c] + b).

    Returns:
        the new state, and the features from which the logits are made.

    Source:
        Bahdanau et al. 2015, section 3.1, equation 4; appendix A.2.2 (recurrence.every-step-has-its-own-context,
        recurrence.the-context-feeds-the-decoder).
    """
    context = own.attention(state[:, None], memory, mask)[:, 0]
    new = unit(torch.cat((token, context), dim=-1), state, own.unit)
    return new, torch.tanh(linear(torch.cat((new, token, context), dim=-1), own.readout))


def decode(
    tokens: Float[Tensor, "batch time d_model"],
    real: Bool[Tensor, "batch time"],
    memory: Float[Tensor, "batch k_len d_memory"],
    memory_real: Bool[Tensor, "batch k_len"],
    own: "Decoder",
) -> Float[Tensor, "batch time d_model"]:
    """Every step in order, with the target's tokens given (teacher forcing), so that no step waits for the one before.

    Source:
        Bahdanau et al. 2015, section 2.1, equation 4 (recurrence.teacher-forced-equals-step-by-step).
    """
    state = first_state(memory, own.start)
    mask = memory_real[:, None, None]
    features = []
    for time in range(tokens.shape[1]):
        new, said = step(tokens[:, time], state, memory, mask, own)
        state = where_real(new, state, real[:, time])
        features.append(said)
    return side_by_side(features, tokens, tokens.shape[-1])


def encoder_decoder(
    source: Int[Tensor, "batch source"],
    target: Int[Tensor, "batch target"],
    source_mask: Bool[Tensor, "batch source"] | None,
    target_mask: Bool[Tensor, "batch target"] | None,
    own: "RecurrentEncoderDecoder",
) -> Float[Tensor, "batch target vocab"]:
    """Read the source, then say at each target token what comes next.

    Args:
        source_mask, target_mask: True at real tokens; padding leaves the states of the real tokens as they are.

    Source:
        Bahdanau et al. 2015, section 3 and appendix A.2 (recurrence.the-context-feeds-the-decoder,
        recurrence.teacher-forced-equals-step-by-step).
    """
    source_real = torch.ones_like(source, dtype=torch.bool) if source_mask is None else source_mask
    target_real = torch.ones_like(target, dtype=torch.bool) if target_mask is None else target_mask
    memory = both_ways(own.embedding(source), source_real, own.forwards, own.backwards)
    features = decode(own.target_tokens(target), target_real, memory, source_real, own.decoder)
    return model.logits(features, own.target_tokens, own.head, own.config)


class Gate(nn.Module):
    """Parameters of two linear maps, ``input`` and ``state``, whose results meet."""

    def __init__(self, inputs: int, size: int, *, bias: bool) -> None:
        super().__init__()
        self.input = parameters.Linear(inputs, size, bias=bias)
        self.state = parameters.Linear(size, size, bias=bias)


class GatedRecurrentUnit(nn.Module):
    """Parameters ``reset``, ``update`` and ``candidate``: each of the linear maps ``input`` and ``state``."""

    def __init__(self, inputs: int, size: int, *, bias: bool) -> None:
        super().__init__()
        self.size = size
        self.reset = Gate(inputs, size, bias=bias)
        self.update = Gate(inputs, size, bias=bias)
        self.candidate = Gate(inputs, size, bias=bias)


class Decoder(nn.Module):
    """Parameters ``start`` (of the first state), ``attention``, ``unit`` and ``readout``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, memory, bias = config.d_model, 2 * config.d_model, config.bias
        self.start = parameters.Linear(size, size, bias=bias)
        self.attention = AdditiveAttention(size, memory, size)
        self.unit = GatedRecurrentUnit(size + memory, size, bias=bias)
        self.readout = parameters.Linear(size + size + memory, size, bias=bias)


class RecurrentEncoderDecoder(nn.Module):
    """Parameters of ``embedding`` and ``target_embedding`` (none where tied), ``forwards``, ``backwards``, ``decoder``, ``head``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, bias = config.d_model, config.bias
        self.config = config
        self.embedding = embedding.TokenEmbedding(config)
        self.target_embedding = None if config.tied else embedding.TokenEmbedding(config)
        self.forwards = GatedRecurrentUnit(size, size, bias=bias)
        self.backwards = GatedRecurrentUnit(size, size, bias=bias)
        self.decoder = Decoder(config)
        self.head = model.Head(config)

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
        """Logits for the next target token at every target position, with the whole source in view."""
        return encoder_decoder(source, target, source_mask, target_mask, self)
