"""Places: the modules of the reference, as a reader calls them."""

import re

from veriformer_spec.role import MODELS, Role

_PARTS = {
    "attention": "attention",
    "cross_attention": "attention to the source",
    "feed_forward": "feed-forward network",
    "attention_norm": "norm of the attention",
    "cross_attention_norm": "norm of the attention to the source",
    "feed_forward_norm": "norm of the feed-forward network",
    "embedding": "embedding",
    "target_embedding": "embedding of the target",
    "positions": "positions",
    "embedding_norm": "norm of the embedding",
    "final_norm": "final norm",
    "norm": "norm",
    "head": "head",
    "query_norm": "norm of the queries",
    "key_norm": "norm of the keys",
}


def section(function: str, where: str, role: str, *, target: bool) -> str:
    """The heading under which a step stands: its layer, or what stands before and after the layers.

    Args:
        target: whether the target's tokens have begun to be read, where a source stands before them.
    """
    layer = re.search(r"layers[.]([0-9]+)", where)
    side = _side(where, role)
    if layer:
        return f"{side}layer {int(layer[1]) + 1}".capitalize()
    chapter = function.partition(".")[0]
    if where.endswith("final_norm"):
        return f"{side}final norm".capitalize()
    if chapter in ("embedding", "position") or where.endswith(("embedding_norm", "positions")):
        return "Embedding of the target" if target else "Embedding"
    if chapter == "recurrence" or where.startswith("decoder.attention"):
        return "Decoder" if target else "Encoder"
    if role in (Role.ENCODER_LAYER, Role.DECODER_LAYER):
        return "The layer"
    return "Head" if role in MODELS else str(role).replace("-", " ").capitalize()


def part(where: str) -> str:
    """What part of a layer, or of the model, a module is; empty for a layer itself."""
    return _PARTS.get(where.rpartition(".")[2], "")


def attends_to_source(where: str, role: str) -> bool:
    """Whether its keys are the source's tokens, and its queries the target's."""
    return "cross_attention" in where or (where.startswith("decoder.attention") and role == "encoder-decoder")


def on_target(where: str, role: str) -> bool:
    """Whether its tokens are the target's."""
    return role in ("encoder-decoder", "decoder", "decoder-layer") and not where.startswith("encoder")


def _side(where: str, role: str) -> str:
    if role != "encoder-decoder":
        return ""
    return "encoder, " if where.startswith("encoder") else "decoder, " if where.startswith("decoder") else ""
