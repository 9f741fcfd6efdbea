"""A second family of small implementations, written in other styles than the reference, each with a switch for catalogued faults.

``SECOND`` says which builds carry which fault, by the fault's id in the catalogue; ``CORRECT`` are the same implementations without
any. None declares its weights: finding out which is which is what mapping and diagnosis are for.
"""

from collections.abc import Mapping

from veriformer.declaration import Build
from veriformer.faults.second import additive, bert, einsum, gpt, llama, parts, plain, sequence_first, t5, translator
from veriformer.faults.second.near_misses import (
    BERT_INTERLEAVED,
    CAPPED_AND_ALIGNED,
    DECODER_OF_DICTS,
    EINSUM_LAYER,
    FUSED_SEQUENCE_FIRST,
    GPT_INPUTS_FIRST,
    GROUPS_ON_AN_AXIS,
    LLAMA_IN_COMPLEX_NUMBERS,
    MATRIX_FOR_EACH_HEAD,
    NORM_BY_ITS_FORMULA,
    PAPERS_ADDITIVE_ATTENTION,
    RELU_WITHOUT_A_COMPARISON,
    T5_HEADS_FIRST,
    TRANSLATOR_OF_DICTS,
)

MEMBERS = (plain, parts, additive, einsum, sequence_first, translator, gpt, llama, bert, t5)
"""Every style: a module with ``SECOND``, builds by the id of the fault in them, and ``CORRECT``."""


def _collected() -> dict[str, tuple[Build, ...]]:
    found: dict[str, tuple[Build, ...]] = {}
    for member in MEMBERS:
        for slug, builds in member.SECOND.items():
            found[slug] = (*found.get(slug, ()), *builds)
    return found


SECOND: Mapping[str, tuple[Build, ...]] = _collected()
CORRECT: tuple[Build, ...] = tuple(build for member in MEMBERS for build in member.CORRECT)

__all__ = [
    "BERT_INTERLEAVED",
    "CAPPED_AND_ALIGNED",
    "CORRECT",
    "DECODER_OF_DICTS",
    "EINSUM_LAYER",
    "FUSED_SEQUENCE_FIRST",
    "GPT_INPUTS_FIRST",
    "GROUPS_ON_AN_AXIS",
    "LLAMA_IN_COMPLEX_NUMBERS",
    "MATRIX_FOR_EACH_HEAD",
    "MEMBERS",
    "NORM_BY_ITS_FORMULA",
    "PAPERS_ADDITIVE_ATTENTION",
    "RELU_WITHOUT_A_COMPARISON",
    "SECOND",
    "T5_HEADS_FIRST",
    "TRANSLATOR_OF_DICTS",
]
