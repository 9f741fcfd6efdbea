"""Faults between query and weights, seen in the wild and planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import math

from torch.nn import functional

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import attention as reference
from veriformer_spec import attention, heads, state
from veriformer_spec.role import Role

scores, softmax = reference.scores, reference.softmax
DEFORM = "arXiv 2604.28118 (DEFault++), DEForm operator"


def _by_the_whole_model(query, key, factor):
    return scores(query, key, factor) / math.sqrt(query.shape[-3])


SCALED_BY_THE_MODEL_SIZE = Fault(
    id="scaled-by-the-model-size",
    sentence="Scores are divided by the root of d_model, which is heads times as large as d_head.",
    clauses=(
        attention.EQUALS_EQUATION_1,
        attention.SCALE_IS_AS_CLAIMED,
        heads.EQUALS_THE_REFERENCE,
    ),
    source="https://github.com/openspeech-team/openspeech/pull/182",
    written="scores / math.sqrt(self.d_model)",
    mend="scores / math.sqrt(self.d_head)",
    patches=(("attention.scores", _by_the_whole_model),),
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION)),
)


def _keys_ask(query, key, factor):
    return scores(key, query, factor)


SCORES_TRANSPOSED = Fault(
    id="scores-transposed",
    sentence="Keys ask and queries answer: the matrix of scores is transposed, and fits where both are equally many.",
    clauses=(attention.EQUALS_EQUATION_1, attention.QUERIES_ARE_INDEPENDENT, heads.EQUALS_THE_REFERENCE),
    source=f"{DEFORM} QSW",
    written="scores = key @ query.transpose(-2, -1)",
    mend="scores = query @ key.transpose(-2, -1)",
    patches=(("attention.scores", _keys_ask),),
    relabels=True,  # where queries and keys are projections of the same tokens, with the two exchanged
    planted=(Planted(role=Role.ATTENTION), Planted(role=Role.MULTI_HEAD_ATTENTION, claims={"memory": "query"})),
)


def _weakest_half(given):
    strongest = given.topk(given.shape[-1] // 2, dim=-1).indices
    return softmax(given.scatter(-1, strongest, -math.inf))


WEAKEST_KEYS_KEPT = Fault(
    id="weakest-keys-kept",
    sentence="Attention that should keep the strongest keys keeps the others.",
    clauses=(attention.EQUALS_EQUATION_1,),
    source="x-transformers 1.37.9; https://github.com/lucidrains/x-transformers/commit/d1f5d6b",
    written="scores.masked_fill(scores > kth_largest, -inf)",
    mend="scores.masked_fill(scores < kth_largest, -inf), where sparse attention is meant; nothing, where plain attention is",
    patches=(("attention.softmax", _weakest_half),),
    planted=(Planted(role=Role.ATTENTION),),
)

WEIGHTS_DROPPED_IN_EVALUATION = Fault(
    id="attention-weights-dropped-in-evaluation",
    sentence="The fused kernel is given its dropout rate whatever the mode, and drops weights in evaluation too.",
    clauses=(state.EVALUATION_IS_DETERMINISTIC,),
    source=f"{DEFORM} KMD",
    written="F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)",
    mend="dropout_p=self.p if self.training else 0.0",
    patches=(("attention.softmax", lambda given: functional.dropout(softmax(given), 0.2)),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION), Planted(role=Role.ENCODER, claims={"norm": "pre"})),
)
