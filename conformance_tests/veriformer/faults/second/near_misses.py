"""The second family without any fault: correct in every style, and no style is the reference's."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from veriformer.faults.fault import NearMiss
from veriformer.faults.second import additive, bert, einsum, gpt, llama, parts, plain, sequence_first, t5, translator
from veriformer_spec import (
    attention,
    cache,
    feed_forward,
    heads,
    masking,
    model,
    normalization,
    position,
    recurrence,
    residual,
    stack,
)

GROUPS_ON_AN_AXIS = NearMiss(
    id="groups-of-heads-on-an-axis-of-their-own",
    sentence="Grouped, causal and windowed: groups of query heads stand on an axis of their own, and no key is repeated.",
    clauses=(heads.GROUPED_QUERIES_SHARE_KEYS_IN_ORDER, masking.SLIDING_WINDOW_SEES_EXACTLY_ITS_WIDTH),
    build=plain.build_attention(kv_heads="grouped", causal=True, sliding_window=True),
)
MATRIX_FOR_EACH_HEAD = NearMiss(
    id="a-matrix-for-each-head",
    sentence="Projections have three axes, heads first, and biases two.",
    clauses=(heads.EQUALS_THE_REFERENCE, heads.TIME_STAYS_TIME, heads.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT),
    build=einsum.build_einsum_attention(kv_heads="grouped"),
)
EINSUM_LAYER = NearMiss(
    id="einsum-layer",
    sentence="A layer by einsum, with a gate and its value in one matrix that is stored inputs by outputs.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, masking.CAUSAL_OUTPUTS_IGNORE_THE_FUTURE),
    build=einsum.build_einsum_layer(norm="pre", activation="geglu", causal=True),
)
FUSED_SEQUENCE_FIRST = NearMiss(
    id="fused-encoder-sequence-first",
    sentence="A stack that works sequence first inside, on parameters of one fused projection.",
    clauses=(
        stack.EQUALS_THE_REFERENCE,
        residual.NORM_PLACEMENT_IS_AS_CLAIMED,
        stack.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=sequence_first.build_fused_encoder(positions="sinusoidal", final_norm=True, norm_bias=False),
)
DECODER_OF_DICTS = NearMiss(
    id="decoder-of-dicts",
    sentence="A decoder of pure functions over dicts of tensors, with keys and values in one product.",
    clauses=(stack.DECODER_SUBLAYERS_STAND_IN_ORDER, heads.CROSS_ATTENTION_READS_THE_MEMORY),
    build=translator.build_decoder_layer(norm="pre", causal=True),
)
TRANSLATOR_OF_DICTS = NearMiss(
    id="translator-of-dicts",
    sentence="The model of 2017 as functions over dicts, with one table for source, target and output.",
    clauses=(model.EQUALS_THE_REFERENCE, masking.PADDING_DOES_NOT_CHANGE_REAL_POSITIONS),
    build=translator.build_translator(**translator.ORIGINAL),
)
GPT_INPUTS_FIRST = NearMiss(
    id="gpt-with-weights-inputs-first",
    sentence="GPT-2 with weights stored inputs by outputs, and a cache that is returned with the logits.",
    clauses=(
        cache.CHUNKS_EQUAL_THE_FULL_PASS,
        model.NORMS_STAND_AS_CLAIMED,
        model.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=gpt.build_cached_gpt(tied=True),
)
LLAMA_IN_COMPLEX_NUMBERS = NearMiss(
    id="llama-in-complex-numbers",
    sentence="Grouped heads that are turned as complex numbers, with one matrix for all projections, and a cache.",
    clauses=(cache.ONE_BY_ONE_EQUALS_THE_FULL_PASS, position.ONLY_THE_DIFFERENCE_COUNTS),
    build=llama.build_llama(tied=True),
)
BERT_INTERLEAVED = NearMiss(
    id="bert-with-interleaved-heads",
    sentence="BERT whose fused projection holds, head by head, its query, its key and its value.",
    clauses=(model.EQUALS_THE_REFERENCE, model.SEGMENTS_REACH_THEIR_TOKENS),
    build=bert.build_bert(tied=True, segments=True),
)
T5_HEADS_FIRST = NearMiss(
    id="t5-with-tables-heads-first",
    sentence="T5 whose tables of biases are stored heads first, and whose logits are scaled down before the shared table.",
    clauses=(model.EQUALS_THE_REFERENCE, position.ONLY_THE_DIFFERENCE_COUNTS),
    build=t5.build_t5(),
)
NORM_BY_ITS_FORMULA = NearMiss(
    id="norm-by-its-formula",
    sentence="LayerNorm by its formula without a shift, with an eps of 1e-12, in float32 for halves alone.",
    clauses=(
        normalization.EPSILON_IS_INSIDE_THE_ROOT,
        normalization.LAYER_EQUALS_ITS_EQUATION,
        normalization.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=parts.build_layer_norm(norm_bias=False, eps=1e-12),
)
RELU_WITHOUT_A_COMPARISON = NearMiss(
    id="relu-without-a-comparison",
    sentence="ReLU is half the sum of a number and its size.",
    clauses=(
        feed_forward.ACTIVATION_IS_AS_CLAIMED,
        feed_forward.EQUALS_EQUATION_2,
        feed_forward.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=parts.build_feed_forward(),
)
CAPPED_AND_ALIGNED = NearMiss(
    id="capped-and-aligned-at-the-start",
    sentence="Scores are capped and not scaled, and the first query stands beside the first key.",
    clauses=(attention.EQUALS_EQUATION_1, heads.SCORES_ARE_CAPPED_AS_CLAIMED),
    build=plain.build_attention(soft_cap=2.0, scale="none", causal=True, alignment="start"),
)
PAPERS_ADDITIVE_ATTENTION = NearMiss(
    id="additive-attention-by-einsum",
    sentence="Additive attention on matrices stored inputs by outputs, with no module for any of them.",
    clauses=(
        recurrence.ADDITIVE_ATTENTION_EQUALS_ITS_EQUATION,
        recurrence.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    ),
    build=additive.build_paper_attention(),
)
