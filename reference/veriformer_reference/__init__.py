"""The reference: what it looks like when a clause holds, chapter by chapter.

Slow and plain: no cache, no fused kernel, no fast path. Each step is a small module-level function, and chapters
import sibling *modules*, never functions out of them, so that a catalogued fault can replace one step at a time. The
classes hold parameters and nothing else, under permanent names that adapters map to; ``forward`` calls the functions.

Shapes are checked at run time, by jaxtyping and beartype: a transposed key raises before it is multiplied.
``checked(False)`` switches that off for a while.
"""

from jaxtyping import install_import_hook

from veriformer_reference.checking import checked

with install_import_hook("veriformer_reference", "veriformer_reference.checking.typecheck"):
    from veriformer_reference import (
        attention,
        build,
        cache,
        decoder,
        embedding,
        feed_forward,
        generation,
        heads,
        masking,
        model,
        normalization,
        parameters,
        position,
        recurrence,
        relative,
        residual,
        rotary,
        stack,
        training,
    )

__all__ = [
    "attention",
    "build",
    "cache",
    "checked",
    "decoder",
    "embedding",
    "feed_forward",
    "generation",
    "heads",
    "masking",
    "model",
    "normalization",
    "parameters",
    "position",
    "recurrence",
    "relative",
    "residual",
    "rotary",
    "stack",
    "training",
]
