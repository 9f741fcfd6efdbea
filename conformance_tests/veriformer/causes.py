"""Causes before consequences: one bug fails many clauses, and the report leads with the clause that is about the bug.

A clause may *explain* others: when it fails, theirs could not have held either, so they stand behind it. The order is partial and says
nothing about whether a failure is real; each one is.
"""

import fnmatch
from collections.abc import Collection, Mapping, Sequence

_INVISIBILITY = (
    "masking.masked-keys-are-invisible",
    "masking.causal-*",
    "masking.padding-*",
    "masking.masks-*",
    "masking.each-head-*",
    "masking.a-prefix-*",
    "masking.packed-*",
    "masking.source-padding-*",
    "masking.sliding-*",
    "masking.no-score-*",
    "masking.a-row-with-nothing-visible-*",
    "masking.no-mask-*",
    "numerics.half-precision-masks-stay-finite",
    "stack.the-mask-reaches-every-layer",
)
_COMPARISONS = (
    "*.equals-*",
    "*.symmetric-weights-*",
    "*-equals-its-equation",
    "heads.each-head-reads-its-own-slice",
    "heads.one-head-is-plain-attention",
    "training.gradients-*",
)
"""Clauses that compare with the reference: whatever else fails explains them."""

EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "heads.target-and-memory-lengths-may-differ": ("*",),  # not checked unless equal lengths work
    "state.output-has-the-promised-shape": ("*",),
    "state.finite-inputs-give-finite-outputs": ("*",),
    "state.evaluation-is-deterministic": ("*",),
    "state.calls-are-independent": (
        "attention.*", "masking.*", "heads.*", "normalization.*", "feed_forward.*", "residual.*", "position.*", "stack.*",
        "training.*", "numerics.*", "device.*", "state.one-*", "state.state-dict-*", "state.every-*", "state.layout-*",
    ),
    "state.batch-rows-are-independent": (
        "attention.*", "masking.*", "heads.*", "normalization.*", "feed_forward.*", "position.*", "stack.*", "residual.*",
        "numerics.*", "state.one-*", "state.state-dict-*", "state.layout-*",
    ),
    "attention.softmax-runs-over-keys": ("attention.*", "masking.*", *_COMPARISONS),
    "attention.heads-are-independent": ("attention.*", "masking.*", *_COMPARISONS),
    "attention.queries-are-independent": ("attention.*", "masking.*", *_COMPARISONS),
    "attention.scale-is-the-inverse-root-of-the-key-size": ("attention.doubling-*", *_COMPARISONS),
    "attention.one-key-returns-its-value": ("attention.output-lies-*", "attention.weights-*", *_COMPARISONS),
    "masking.outputs-depend-on-every-visible-key": ("heads.time-stays-time", "heads.repeating-*", "heads.queries-come-*",
                                                    "stack.every-layer-runs", *_COMPARISONS),
    "heads.cross-attention-reads-keys-and-values-from-the-memory": (
        "heads.permuting-*", "masking.outputs-*", *_INVISIBILITY, *_COMPARISONS),
    "masking.sliding-window-sees-exactly-its-width": (*_INVISIBILITY, *_COMPARISONS),
    "masking.source-padding-is-invisible-to-the-target": (*_INVISIBILITY, *_COMPARISONS),
    "masking.masked-keys-are-invisible": (*_INVISIBILITY, *_COMPARISONS),
    "heads.time-stays-time": (*_INVISIBILITY, "heads.repeating-*", "heads.queries-come-*", *_COMPARISONS),
    "heads.queries-come-from-the-queries-input-keys-and-values-from-the-memory": (
        "heads.query-and-memory-*", *_INVISIBILITY, *_COMPARISONS),
    "position.positions-enter-once-for-every-token": ("state.one-token-and-one-row-work", *_COMPARISONS),
    "normalization.statistics-are-per-token": ("normalization.*", "masking.*", *_COMPARISONS),
    "feed_forward.position-wise": ("feed_forward.*", "masking.*", *_COMPARISONS),
    "cache.one-by-one-equals-the-full-pass": ("cache.chunks-*", "cache.padding-*", "cache.a-sliding-*", "cache.reordering-*"),
    "cache.chunks-equal-the-full-pass": ("cache.padding-*", "cache.a-sliding-*"),
    "generation.the-minimum-and-maximum-length-hold": ("generation.*",),
    "generation.greedy-takes-the-largest": ("generation.*",),
    "generation.the-whole-text-is-read": (
        "generation.a-*", "generation.beams-*", "generation.one-beam-*", "generation.temperature-*", "generation.top-*"),
    "generation.rows-stop-at-their-own-end-token": ("generation.a-*", "generation.beams-*", "generation.one-beam-*"),
    "generation.temperature-divides-the-logits": ("generation.top-*",),
    "generation.one-beam-is-greedy": ("generation.a-beam-*", "generation.beams-*"),
    "generation.a-beam-that-drops-nothing-finds-the-best": ("generation.beams-*", "generation.a-rows-text-*"),
    "training.dropout-drops-at-the-claimed-rate": ("training.dropout-is-unbiased",),
    "training.targets-are-shifted-by-one": ("training.the-loss-*", "training.label-smoothing-*"),
    "training.the-loss-ignores-padding": ("training.the-loss-is-*", "training.label-smoothing-*"),
    "training.the-loss-is-the-mean-over-real-tokens": ("training.label-smoothing-*",),
}  # fmt: skip
"""Clause id -> patterns of the clauses that its failure explains."""


def explained_by(clause: str, failed: Collection[str], under_a_mask: Collection[str] = ()) -> str | None:
    """The failed clause that explains ``clause``'s failure, itself unexplained; None for a cause.

    Args:
        under_a_mask: those of ``failed`` whose smallest case needs a mask: where masking fails too, that is why.
    """
    for cause in _causes_in_order(failed):
        if cause != clause and _explains(cause, clause):
            return cause
    masking = [each for each in failed if each.startswith("masking.")]
    if clause in under_a_mask and masking and not clause.startswith(("masking.", "heads.time-")):
        return masking[0]
    if clause == _ONE_ROW and masking:
        return masking[0]
    if _is_comparison(clause) or clause == _ROUNDING:
        others = [each for each in failed if not each.startswith("state.") and each not in (clause, _ROUNDING)]
        if clause != _ROUNDING:
            others = [each for each in others if not _is_comparison(each)]
        return others[0] if others else None
    return None


_ONE_ROW = "state.one-token-and-one-row-work"
_ROUNDING = "numerics.error-within-rounding"
"""What is wrong in float64 is further from right than rounding explains in float32, too."""


def causes_first(failed: Sequence[str], under_a_mask: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """The failed clauses in two parts, each in its given order: causes, and what follows from them."""
    causes = [each for each in failed if explained_by(each, failed, under_a_mask) is None]
    return causes, [each for each in failed if each not in causes]


def _causes_in_order(failed: Collection[str]) -> list[str]:
    """Failed clauses that explain others, without those that another of them explains."""
    candidates = [each for each in EXPLAINS if each in failed]
    kept: list[str] = []
    for candidate in candidates:  # the table is in order: what stands first explains what follows, never the reverse
        if not any(_explains(earlier, candidate) for earlier in kept):
            kept.append(candidate)
    return kept


def _explains(cause: str, clause: str) -> bool:
    return any(fnmatch.fnmatchcase(clause, pattern) for pattern in EXPLAINS[cause])


def _is_comparison(clause: str) -> bool:
    return any(fnmatch.fnmatchcase(clause, pattern) for pattern in _COMPARISONS)
