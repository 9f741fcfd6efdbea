"""What builds written without the reference equal, by the fault's id and the build's name.

A planted fault's id, or another claim's value; or two of them at once, joined by ``and``.

A build that is not named here equals nothing that is planted, or nobody has found out yet.
"""

from collections.abc import Mapping

CHECKED: Mapping[str, Mapping[str, str]] = {
    "scale-by-d-model": {"root_of_the_model_size": "scaled-by-the-model-size"},
    "prescaled-query-in-fused-kernel": {"scaled_before_a_kernel_that_scales": "scaled-twice"},
    "kernel-given-the-key-twice": {"kernel_called_with_the_key_twice": "key-for-value"},
    "softmax-without-dim": {"legacy_softmax_axis": "softmax-over-heads"},
    "beginners-self-attention": {"beginner_with_softmax_over_queries": "softmax-over-queries"},
    "merge-by-view": {
        "view_to_merge": "merge-heads-without-transpose",
        "view_to_merge_in_a_layer": "merge-heads-without-transpose",
    },
    "split-by-view": {"view_to_split": "split-heads-without-transpose"},
    "head-scaled-by-d-model": {"scale_of_the_model": "scaled-by-the-model-size"},
    "fused-features-in-turns": {"fused_in_turns": "heads-split-in-turns"},
    "key-heads-repeated-by-tiling": {"key_heads_in_turns": "key-heads-tiled", "shared_by_tiling": "key-heads-tiled"},
    "keys-viewed-with-the-query-length": {"length_of_the_query": "keys-reshaped-to-the-querys-length"},
    "cap-in-the-wrong-place": {"cap_forgotten_by_a_kernel": "cap-claimed-only"},
    "values-or-memory-from-the-wrong-side": {
        "decoder_with_values_of_its_own": "values-from-the-decoder",
        "translator_with_values_of_its_own": "values-from-the-decoder",
        "translator_that_reads_itself": "memory-ignored and memory-mask-not-passed-on",
    },
    "flag-overridden-by-mask": {"kernel_flag_beside_a_mask": "causal-dropped-under-a-mask"},
    "band-in-place-of-triangle": {"banded": "causal-window"},
    "diagonal-off-by-one": {"one_step_into_the_future": "causal-one-too-many"},
    "zeros-and-ones-as-additive-mask": {"one_additive_mask": "boolean-mask-added"},
    "chunk-aligned-at-the-start": {
        "start_read_as_end": "queries-aligned-at-the-other-side",
        "chunk_that_sees_the_beginning": "queries-aligned-at-the-other-side",
    },
    "right-model-wrong-numbers": {"scale_not_claimed": "embedding_scale=root-d_model"},
    "unit-length-for-unit-mean-square": {
        "unit_length_mapped": "norm-not-root-mean-square",
        "unit_length": "norm-not-root-mean-square",
    },
    "buckets-of-query-minus-key": {"halves_exchanged": "buckets-sign-turned"},
    "rotary-tables-of-the-other-pairing": {"tables_in_halves_features_in_turns": "rotary-tables-of-the-other-layout"},
    "rotary-chunk-from-the-wrong-row": {"every_chunk_from_zero": "rotary-start-ignored"},
    "rotary-units-conjugated": {"conjugate": "turned-the-other-way"},
    "rotary-neighbours-for-halves": {"neighbours_where_halves_are_claimed": "rotary_pairing=adjacent"},
    "right-parts-in-wrong-places": {
        "reversed_layers": "layers-in-reverse",
        "one_norm_twice": "first-norm-for-both-sublayers",
        "claims_pre_is_post": "norm=post",
    },
    "another-kind-of-gelu": {"tempting_gelu": "gelu-by-tanh"},
    "halves-of-a-fused-gate-swapped": {"halves_swapped": "gate-and-value-swapped"},
    "output-allocated-like-the-query": {"written_into_an_empty_query": "output-in-the-shape-of-the-query"},
    "weights-times-mask": {"multiplied_afterwards": "mask-after-softmax"},
    "batch-reshaped-onto-heads": {"batch_onto_heads": "mask-on-the-head-axis"},
    "true-means-hidden": {"opposite_convention": "mask-inverted"},
    "nan-overwritten-after-softmax": {"nan_overwritten": "where-after-nan"},
    "mean-claimed-as-zeros": {"uniform_where_nothing": "mean-where-nothing-is-visible"},
    "one-empty-row-unmasks-all": {"all_rows_or_none": "mask-dropped-where-a-row-is-empty"},
    "padding-mask-of-the-other-sign": {"torch_layer_with_the_mask_inverted": "mask-inverted"},
    "window-beside-the-position": {
        "window_beside_the_position": "window-one-too-wide",
        "window_that_looks_ahead": "window-on-both-sides",
    },
    "packing-shifted": {"torch_layer_with_key_padding_only": "packing-reduced-to-keys"},
    "masks-of-heads-merged": {
        "first_heads_mask_for_all": "mask-of-the-first-head",
        "any_heads_mask_for_all": "heads-masks-merged-by-any",
    },
    "source-padding-left-to-the-encoder": {
        "source_padding_hidden_from_the_encoder_only": "memory-mask-not-passed-on",
        "torch_decoder_layer_without_the_memory_mask": "memory-mask-not-passed-on",
    },
    "last-norm-left-out": {
        "without_last_norm": "final-norm-forgotten",
        "norm_where_none_is_claimed": "final_norm=True",
    },
    "norms-elsewhere": {
        "norms_after_the_addition": "pre-norm-and-post-norm-swapped",
        "norms_before_the_sublayer": "pre-norm-and-post-norm-swapped",
    },
    "wrong-side-read": {"encodes_the_target": "encoder-reads-the-target"},
    "one-block-many-times": {"one_block_many_times": "layer_parameters=shared"},
    "blocks-not-chained": {
        "only_the_last_block": "first-input-to-every-layer",
        "only_the_last_decoder_layer": "last-decoder-layer-only",
    },
    "rms-norm-for-layer-norm": {"rms_claimed_as_layer_norm": "mean-not-subtracted"},
    "default-eps-stays": {
        "default_eps": "eps-not-passed-on",
        "default_eps_in_a_layer": "eps-not-passed-on",
        "default_eps_in_a_pre_norm_layer": "eps-not-passed-on",
    },
    "claim-copied-from-another-adapter": {"claims_too_much": "float32-claimed-and-not-used"},
    "buckets-of-another-shape": {"default_reach": "max-distance-not-passed-on"},
    "buckets-of-a-chunk-from-zero": {"chunk_from_zero": "bias-queries-at-the-start"},
    "table-counted-from-one": {"counted_from_one": "positions-from-one"},
    "embedding-scale-in-the-encoding": {"scaled_and_added": "input-scaled-on-the-way"},
    "last-row-for-all-beyond": {"last_row_for_all_beyond": "positions-clamped"},
    "all-three-turned": {"turns_values_too": "values-turned-with-the-keys"},
    "bias-forgotten-beside-the-mask": {"bias_forgotten": "bias-never-added"},
    "both-skips-from-the-block": {
        "second_adds_block_input": "second-skip-from-the-first-input",
        "second_adds_block_input_pre": "second-skip-from-the-first-input",
    },
    "norm-first-forgotten": {"norm_first_forgotten": "norm=post", "norm_first_stays": "pre-norm-and-post-norm-swapped"},
    "norm-at-the-end-not-as-placed": {
        "torch_pre_norm_stack_without_a_norm": "final-norm-forgotten",
        "torch_post_norm_stack_with_a_norm": "final_norm=True",
    },
    "memory-stops-at-one-layer": {"memory_once": "memory-for-the-first-layer-only"},
    "decoder-sublayers-out-of-order": {
        "reads_first": "cross-attention-before-self-attention",
        "normalises_the_memory": "memory-normalised-with-the-target",
    },
    "reading-skip-left-out": {
        "reads_without_skip": "cross-attention-without-a-skip",
        "decoder_reads_without_skip": "cross-attention-without-a-skip",
    },
    "decoder-norms-elsewhere": {
        "norms_on_the_branch": "norm-on-the-branch",
        "post_norm_where_pre_is_claimed": "norm=post",
    },
    "decoder-masks-lost": {"memory_mask_once": "memory-mask-for-the-first-layer-only"},
    "decoder-layers-not-chained": {"decoder_output_forgotten": "last-decoder-layer-only"},
    "layers-share-parameters": {"one_layer": "layer_parameters=shared"},
    "layers-not-chained": {"output_forgotten": "first-input-to-every-layer", "one_layer_short": "last-layer-skipped"},
    "mask-not-for-every-layer": {"mask_once": "mask-lost-after-the-first-layer"},
    "every-token-alone": {"every_token_alone": "sees-itself-only"},
    "cached-positions-start-anew": {
        "positions_anew": "new-positions-counted-from-zero",
        "positions_off_by_one": "cache-position-off-by-one",
        "turned_anew": "rotary-start-ignored",
    },
    "chunk-without-its-triangle": {"chunk_sees_its_end": "chunk-sees-its-own-future"},
    "dropout-not-as-configured": {"dropout_left_out": "dropout-never-applied"},
}
"""Compared with it on the same weights: equal at every probe that was asked, and the specification is not."""

READ: Mapping[str, Mapping[str, str]] = {
    "ten-thousand-subtracted": {
        "half_precision_constant": "mask-value-ten-thousand",
        "half_precision_constant_in_a_layer": "mask-value-ten-thousand",
    },
    "nan-overwritten-after-softmax": {"nan_overwritten_on_the_output": "where-after-nan"},
    "unmasked-path-not-scaled": {"tempered_without_mask": "another-path-without-a-mask"},
    "strictly-before": {"strictly_before": "causal-without-diagonal"},
    "prefix-loses-its-future": {"corner_read_as_causal": "prefix-taken-for-causal"},
    "source-padding-left-to-the-encoder": {"target_mask_on_the_source": "target-mask-on-the-memory"},
    "norms-elsewhere": {"normalised_skip": "skip-taken-after-the-norm"},
    "no-logits": {"probabilities": "softmax-inside-the-model", "one_logit_short": "logits-one-word-short"},
    "positions-along-the-batch-axis": {
        "positions_along_the_batch": "positions-along-the-batch",
        "time_first_table_along_the_batch": "positions-along-the-batch",
    },
    "segments-never-used": {"of_the_first_token": "segment-of-the-first-token"},
    "gradient-of-a-root-at-zero": {"root_plus_eps": "eps-outside-the-root"},
    "normalised-shape-of-a-sequence": {
        "whole_sequence_norm": "statistics-over-time",
        "whole_sequence_rms": "statistics-over-time",
    },
    "layer-norm-for-rms-norm": {"layer_norm_claimed_as_rms": "rms-subtracts-the-mean"},
    "weight-not-given-to-the-function": {"weight_not_given": "gain-never-applied"},
    "squares-overflow-float16": {
        "rms_overflowing": "squares-in-half-precision",
        "layer_norm_overflowing": "squares-in-half-precision",
    },
    "alibi-slopes-of-another-count": {"next_power_cut": "alibi-one-series-for-every-count"},
    "buckets-of-query-minus-key": {"past_and_future_exchanged": "buckets-sign-turned"},
    "first-row-is-padding": {"padded_table": "first-position-taken-for-padding"},
    "positions-lost": {"positions_lost": "positions-never-added"},
    "several-tokens-at-one-place": {"placed_along_the_batch": "positions-along-the-batch"},
    "layers-share-parameters": {
        "one_feed_forward": "one-feed-forward-for-all-layers",
        "layers_in_a_plain_list": "layers-in-a-python-list",
    },
    "layers-in-a-plain-list": {"python_list": "layers-in-a-python-list"},
    "backward-forgets-the-mask": {
        "leaky_layer": "straight-through-the-mask",
        "leaky_model": "straight-through-the-mask",
    },
    "rate-shows-in-evaluation": {"dropout_always_on": "dropout-in-evaluation"},
    "dropout-not-drawn-anew": {"mask_for_all_rows": "one-dropout-mask-for-the-batch"},
    "chunk-mask-ignores-the-past": {"square_in_the_corner": "queries-aligned-at-the-other-side"},
    "empty-slots-of-a-buffer-seen": {"empty_slots_seen": "unwritten-slots-seen"},
    "additive-weights-do-not-sum-to-one": {"masked_after_the_softmax": "mask-after-softmax"},
    "additive-attention-in-name-only": {"softmax_over_queries": "softmax-over-queries"},
    "dropout-after-the-sum": {"drops_after_the_sum": "dropout-on-the-skip"},
}
"""Read, and not compared: no mapping of weights is given, or what differs is nothing that an output shows."""

EQUALS: Mapping[str, Mapping[str, str]] = {
    name: {**READ.get(name, {}), **CHECKED.get(name, {})} for name in dict.fromkeys((*CHECKED, *READ))
}
"""Both."""
