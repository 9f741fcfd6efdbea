"""Explained: mutants that survive, and why that is no hole in the suite, or which hole it is.

A reason stands above the mutants that it explains, each by its id. A self-test requires that every id here is still a
mutant's, so that no explanation outlives what it explains.
"""

from collections.abc import Mapping
from typing import Final

_EQUIVALENT: Final[Mapping[str, tuple[str, ...]]] = {
    "The loss adds up everything that comes out, along whichever axis it was added up before": (
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0).sum()",
        "training.cross_entropy: return -torch.where(target > 0, target * log_probabilities, 0.0).sum(dim=-2)",
    ),
    "Which of equally likely ids crosses p is free": (
        "generation.keep_top_p: probabilities, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True, stable=False)",
    ),
    "Of the log-probabilities only the shape is used, which has no gradient": (
        "training.smoothed_targets: return ((1 - share) * target + share * (1 - target) / max(vocab - 1, 1)).detach()",
    ),
    "A vocabulary of one word has no other class: what is spread over none is undefined": (
        "training.smoothed_targets: return (1 - share) * target + share * (1 - target) / max(vocab - 1, 0)",
    ),
    "No claim of this role makes key heads fewer than heads": (
        "heads.self_attention: slices = split(x, config.kv_heads)",
    ),
    "Where positions are read, queries and memory are one sequence, and so as long as each other": (
        "heads.multi_head_attention: query_positions, key_positions = relative.aligned_positions(memory.shape[1], source.shape[1], query.device)",
    ),
    "There are as many caches as layers: they were made so": (
        "cache.step: for (layer, past) in zip(stack.in_order(own.stack.layers, own.config), cache.layers):",
    ),
    "A list that nobody changes": (
        "cache.step: return (model.logits(stack.top(x, own.stack), own.embedding, own.head, own.config), Cache(layers, real))",
    ),
    "A mask comes with every step once a token is padding (None means that all are real), so that what is remembered is not read": (
        "cache.reorder: return Cache(tuple((Layer(layer.keys[rows], layer.values[rows]) for layer in cache.layers)), cache.real)",
    ),
    "The same number is added to the score of every text": (
        "generation.beam_search: kept = [Beam(prompt, 1.0, ended=False)]",
    ),
    "Whether a minimum counts the ids before the end token is free": (
        "generation.one_by_one: chosen = choose(forbid(next_logits(model, ids), end_id, forbidden=length <= min_new_tokens))",
    ),
    "The first of two drawn without putting back is distributed as one": (
        "generation.draw: return torch.multinomial(torch.softmax(left, dim=-1), 2)[:, 0]",
    ),
    "Two tensors of one dtype": (
        "normalization.layer_norm: return apply_shift(apply_gain(normal, gain.to(normal), config.gain), wide_shift).to(x.dtype)",
        "normalization.rms_norm: wide = working_dtype(gain.dtype, config.computes_in)",
        "normalization.rms_norm: return apply_gain(normal, gain.to(wide), config.gain).to(gain.dtype)",
    ),
    "Every construction passes one size for both": (
        "recurrence.AdditiveAttention.__init__: self.memory = parameters.Linear(memory, query, bias=False)",
        "recurrence.AdditiveAttention.__init__: self.query = parameters.Linear(hidden, query, bias=False)",
    ),
    "A device by its name": (
        "relative.AlibiBias.forward: positions = aligned_positions(q_len, k_len, 'cpu')",
    ),
    "The claims of these roles say causal already": (
        "model.causal: only `return config`",
    ),
    "Rounds of a loop that do not know which round they are": (
        "stack.Encoder.__init__: self.layers = nn.ModuleList((EncoderLayer(config, self.relative) for _ in list(range(distinct_layers(config)))[::-1]))",
    ),
    "A sum does not know the order of its two terms, nor broadcasting its leading axis of one": (
        "residual.post_norm: return norm(add(drop(sublayer(x), rate=rate, training=training), x))",
        "position.place: return add(table[positions], x)",
        "position.sinusoidal: angles = positions(length, device)[:, None] * frequencies(d_model, device)",
    ),
    "A query and a key have one size": (
        "attention.attention: factor = scale_factor(key.shape[-1], scale)",
    ),
    "A head's transform and its norm are both there, or neither is": (
        "model.transform: if own.transform is None and own.norm is None:",
    ),
    "A default that every caller in the reference overrides, or that means the same": (
        "attention.attention: def with mask=None, scale='inverse-root', causal=True, alignment='end', soft_cap=None, bias=None",
        "heads.attend: def with mask=None, scale='inverse-root', causal=False, alignment='no end', soft_cap=None, bias=None",
    ),
    "An empty sequence raises or is empty: both are free": (
        "recurrence.side_by_side: return torch.stack(list(steps), dim=1) if True else like.new_zeros(len(like), 0, features)",
    ),
    "Where dropout falls besides the sublayers is free; the claim says whether anything is dropped": (
        "model.EncoderDecoder.__init__: self.encoder.drops = self.encoder.drops = True",
        "model.LanguageModel.__init__: without `self.stack.drops = True`",
    ),
}  # fmt: skip
"""It computes the same for everything that the role's call may be given; or the specification leaves the difference free."""

_HOLES: Final[Mapping[str, tuple[str, ...]]] = {
    "A part without parameters that records no gradient is `not checked`, with that reason, where it should fail": (
        "heads.SelfAttention.forward: return self_attention(x, mask, self.config).detach()",
        "rotary.RotaryEncoding.forward: return rotate(x, positions[None], self.config).detach()",
    ),
    "The clauses on gradients and devices are not asked of the role dropout": (
        "training.Dropout.forward: return dropout(x, self.config.dropout, training=self.training).detach()",
        "training.draw_kept: return torch.rand(x.shape) >= rate",
    ),
}
"""It computes something else, which a clause should see and none does."""


def _by_id(grouped: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {each: reason for reason, every in grouped.items() for each in every}


EQUIVALENT: Final = _by_id(_EQUIVALENT)
"""Mutants that nobody can kill, and why."""

HOLES: Final = _by_id(_HOLES)
"""Mutants that somebody should kill, and what is missing."""
