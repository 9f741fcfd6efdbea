"""Explained: mutants that survive, and why that is no hole in the suite, or which hole it is.

A reason stands above the mutants that it explains, each by its id. A self-test requires that every id here is still a
mutant's, so that no explanation outlives what it explains.
"""

from collections.abc import Mapping
from typing import Final

from veriformer.mutation import equivalent

_HOLES: Final[Mapping[str, tuple[str, ...]]] = {
    "The clauses on gradients and devices are not asked of the role dropout": (
        "training.Dropout.forward: return dropout(x, self.config.dropout, training=self.training).detach()",
        "training.draw_kept: return torch.rand(x.shape) >= rate",
        "training.drop: return (x.masked_fill(~kept, 0.0) * scale).detach()",
        "training.dropout: return (drop(x, draw_kept(x, rate), rate) if training else x).detach()",
    ),
    "Generation and caches are not judged on a simulated device": (
        "cache.start: real = torch.zeros(batch, 0, dtype=torch.bool)",
        "generation.forbid: is_end = torch.arange(logits.shape[-1]) == end_id",
        "generation.keep_top_p: first = torch.arange(logits.shape[-1]) == 0",
        "generation.one_by_one: ids, ended = (prompt, torch.zeros(len(prompt), dtype=torch.bool))",
    ),
    "Sampling is judged in many rows at once, never in fewer rows than k": (
        "generation.keep_top_k: chosen = logits.topk(min(k, logits.shape[-2]), dim=-1).indices",
        "generation.keep_top_k: chosen = logits.topk(min(k, logits.shape[0]), dim=-1).indices",
    ),
    "Where segments are claimed, gradients are asked of calls with segments alone": (
        "embedding.add_segments: return (vectors + table[0]).detach()",
    ),
    "No clause asks in which dtype the slopes of a bias are made": (
        "relative.alibi: falling = torch.tensor(slopes(heads), device=distances.device)",
        "relative.alibi: falling = torch.tensor(slopes(heads), dtype=torch.float32, device=distances.device)",
    ),
}  # fmt: skip
"""It computes something else, which a clause should see and none does."""


def _by_id(grouped: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {each: reason for reason, every in grouped.items() for each in every}


EQUIVALENT: Final = _by_id(equivalent.BY_REASON)
"""Mutants that nobody can kill, and why."""

HOLES: Final = _by_id(_HOLES)
"""Mutants that somebody should kill, and what is missing."""
