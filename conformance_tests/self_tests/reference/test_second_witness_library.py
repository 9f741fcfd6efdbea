"""The library transformers' BERT, GPT-2, Llama and T5, layer by layer, against the reference's profiles of that name.

No network: tiny configurations, random weights. BERT and GPT-2 compute in float64 throughout. Llama and T5 normalise, turn
and weigh in float32 whatever comes in, so they are compared at float32's units.
"""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from self_tests.reference import witness

transformers = importlib.import_module("transformers")  # untyped, and too large for a type checker to follow
transformers.logging.set_verbosity_error()

SIZES: list[dict[str, Any]] = [
    {"d_model": 24, "heads": 4, "d_ff": 40, "layers": 2},
    {"d_model": 10, "heads": 1, "d_ff": 16, "layers": 3},
    {"d_model": 48, "heads": 6, "d_ff": 20, "layers": 1},
]
SEEDS = (1, 2)
MAX_LEN = 9


def sizes_of(sizes: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Our configuration's sizes."""
    heads = sizes["heads"]
    d_head = sizes["d_model"] // heads
    return {**sizes, "kv_heads": heads, "d_head": d_head, "vocab": witness.VOCAB, "max_len": MAX_LEN, **others}


def layers(module: nn.Module, name: str) -> list[nn.Module]:
    """The layers under a name."""
    return list(module.get_submodule(name).children())


def bert_layer(name: str, module: Any) -> dict[str, Tensor]:
    """BERT's names for a layer."""
    attends, mixes = module.attention.self, module.attention.output
    found: dict[str, Tensor] = {}
    for part in ("query", "key", "value"):
        found |= witness.linear(f"{name}.attention.{part}", getattr(attends, part))
    found |= witness.linear(f"{name}.attention.output", mixes.dense)
    found |= witness.norm(f"{name}.attention_norm", mixes.LayerNorm)
    found |= witness.linear(f"{name}.feed_forward.hidden", module.intermediate.dense)
    found |= witness.linear(f"{name}.feed_forward.output", module.output.dense)
    return found | witness.norm(f"{name}.feed_forward_norm", module.output.LayerNorm)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", SIZES, ids=["24", "10", "48"])
@pytest.mark.parametrize("side", ["right", "interior"])
def test_bert(sizes: dict[str, Any], seed: int, side: str) -> None:
    """Embeddings of tokens, positions and segments; post-norm layers; the transform before the tied head."""
    config = transformers.BertConfig(
        vocab_size=witness.VOCAB,
        hidden_size=sizes["d_model"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["d_ff"],
        max_position_embeddings=MAX_LEN,
        attn_implementation="eager",
    )
    theirs = witness.shaken(transformers.BertForMaskedLM(config), seed)
    ours = witness.profile("bert", **sizes_of(sizes))
    embeds, head = theirs.bert.embeddings, theirs.cls.predictions
    weights = {
        "embedding.table": embeds.word_embeddings.weight,
        "embedding.segment_table": embeds.token_type_embeddings.weight,
        "stack.positions.table": embeds.position_embeddings.weight,
        "head.bias": head.bias,
        **witness.norm("stack.embedding_norm", embeds.LayerNorm),
        **witness.linear("head.transform", head.transform.dense),
        **witness.norm("head.norm", head.transform.LayerNorm),
    }
    for index, each in enumerate(theirs.bert.encoder.layer):
        weights |= bert_layer(f"stack.layers.{index}", each)
    witness.port(ours, theirs, weights)

    ids, mask = witness.ids(seed, 3, 7), witness.padding(seed, 3, 7, side)
    segments = torch.randint(0, 2, ids.shape, generator=torch.Generator().manual_seed(seed))
    places = torch.where(mask, mask.cumsum(1) - 1, 0)
    with witness.outputs(theirs.bert.encoder.layer) as their_layers:
        expected = theirs(ids, attention_mask=mask.long(), token_type_ids=segments, position_ids=places).logits
    with witness.outputs(layers(ours, "stack.layers")) as our_layers:
        got = ours(ids, mask, segments)
    witness.require_same_layers(our_layers, their_layers, mask)
    witness.require_near(got, expected, mask)


def gpt2_layer(name: str, module: Any) -> dict[str, Tensor]:
    """GPT-2's names for a layer: its linear maps are stored inputs by outputs, and three stand in one."""
    found = witness.norm(f"{name}.attention_norm", module.ln_1) | witness.norm(f"{name}.feed_forward_norm", module.ln_2)
    three = zip(
        ("query", "key", "value"), module.attn.c_attn.weight.chunk(3, 1), module.attn.c_attn.bias.chunk(3), strict=True
    )
    for part, weight, bias in three:
        found |= {f"{name}.attention.{part}.weight": weight.T, f"{name}.attention.{part}.bias": bias}
    others = {
        "attention.output": module.attn.c_proj,
        "feed_forward.hidden": module.mlp.c_fc,
        "feed_forward.output": module.mlp.c_proj,
    }
    for part, stored in others.items():
        found |= {f"{name}.{part}.weight": stored.weight.T, f"{name}.{part}.bias": stored.bias}
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", SIZES, ids=["24", "10", "48"])
@pytest.mark.parametrize("side", ["right", "left", "interior"])
def test_gpt2(sizes: dict[str, Any], seed: int, side: str) -> None:
    """Learned positions that count real tokens; pre-norm layers; the final norm; the tied head."""
    config = transformers.GPT2Config(
        vocab_size=witness.VOCAB,
        n_positions=MAX_LEN,
        n_embd=sizes["d_model"],
        n_layer=sizes["layers"],
        n_head=sizes["heads"],
        n_inner=sizes["d_ff"],
        attn_implementation="eager",
    )
    theirs = witness.shaken(transformers.GPT2LMHeadModel(config), seed)
    ours = witness.profile("gpt-2", **sizes_of(sizes))
    weights = {
        "embedding.table": theirs.transformer.wte.weight,
        "stack.positions.table": theirs.transformer.wpe.weight,
        **witness.norm("stack.final_norm", theirs.transformer.ln_f),
    }
    for index, each in enumerate(theirs.transformer.h):
        weights |= gpt2_layer(f"stack.layers.{index}", each)
    witness.port(ours, theirs, weights)

    ids, mask = witness.ids(seed, 3, 7), witness.padding(seed, 3, 7, side)
    places = torch.where(mask, mask.cumsum(1) - 1, 0)
    with witness.outputs(theirs.transformer.h) as their_layers:
        expected = theirs(ids, attention_mask=mask.long(), position_ids=places, use_cache=False).logits
    with witness.outputs(layers(ours, "stack.layers")) as our_layers:
        got = ours(ids, mask)
    witness.require_same_layers(our_layers, their_layers, mask)
    witness.require_near(got, expected, mask)


def llama_layer(name: str, module: Any) -> dict[str, Tensor]:
    """Llama's names for a layer."""
    found: dict[str, Tensor] = {}
    for part, theirs in {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}.items():
        found |= witness.linear(f"{name}.attention.{part}", getattr(module.self_attn, theirs))
    for part, theirs in {"gate": "gate_proj", "hidden": "up_proj", "output": "down_proj"}.items():
        found |= witness.linear(f"{name}.feed_forward.{part}", getattr(module.mlp, theirs))
    found |= witness.norm(f"{name}.attention_norm", module.input_layernorm)
    return found | witness.norm(f"{name}.feed_forward_norm", module.post_attention_layernorm)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("sizes", "kv_heads"),
    [({**SIZES[0]}, 2), ({**SIZES[0], "layers": 3}, 4), ({**SIZES[1]}, 1), ({**SIZES[2]}, 2)],
    ids=["24", "24-equal", "10", "48"],
)
@pytest.mark.parametrize("side", ["right", "left", "interior"])
def test_llama(sizes: dict[str, Any], kv_heads: int, seed: int, side: str) -> None:
    """Rotary positions in halves; grouped key/value heads; RMS norms; gated feed-forward networks; an untied head."""
    config = transformers.LlamaConfig(
        vocab_size=witness.VOCAB,
        hidden_size=sizes["d_model"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=kv_heads,
        intermediate_size=sizes["d_ff"],
        max_position_embeddings=MAX_LEN,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        attn_implementation="sdpa",  # the eager one gives NaN at left padding where the model is in float64
    )
    theirs = witness.shaken(transformers.LlamaForCausalLM(config), seed)
    ours = witness.profile("llama", **sizes_of(sizes, kv_heads=kv_heads, rotary_base=100.0))
    weights = {
        "embedding.table": theirs.model.embed_tokens.weight,
        "head.output.weight": theirs.lm_head.weight,
        **witness.norm("stack.final_norm", theirs.model.norm),
    }
    for index, each in enumerate(theirs.model.layers):
        weights |= llama_layer(f"stack.layers.{index}", each)
    witness.port(ours, theirs, weights)

    ids, mask = witness.ids(seed, 3, 7), witness.padding(seed, 3, 7, side)
    places = torch.where(mask, mask.cumsum(1) - 1, 0)
    with witness.outputs(theirs.model.layers) as their_layers:
        expected = theirs(ids, attention_mask=mask.long(), position_ids=places, use_cache=False).logits
    with witness.outputs(layers(ours, "stack.layers")) as our_layers:
        got = ours(ids, mask)
    witness.require_same_layers(our_layers, their_layers, mask, "float32")
    witness.require_near(got, expected, mask, "float32")


def t5_stack(name: str, module: Any) -> dict[str, Tensor]:
    """T5's names for one of its two stacks."""
    found = witness.norm(f"{name}.final_norm", module.final_layer_norm)
    first = module.block[0].layer[0].SelfAttention
    found[f"{name}.relative.table"] = first.relative_attention_bias.weight
    for index, block in enumerate(module.block):
        sublayers = [("attention", block.layer[0].SelfAttention), ("cross_attention", None)]
        if len(block.layer) == 3:
            sublayers[1] = ("cross_attention", block.layer[1].EncDecAttention)
        for sublayer, attends in sublayers:
            for part, letter in {"query": "q", "key": "k", "value": "v", "output": "o"}.items():
                if attends is not None:
                    found[f"{name}.layers.{index}.{sublayer}.{part}.weight"] = getattr(attends, letter).weight
        names = (
            ["attention", "feed_forward"] if len(block.layer) == 2 else ["attention", "cross_attention", "feed_forward"]
        )
        for sublayer, each in zip(names, block.layer, strict=True):
            found |= witness.norm(f"{name}.layers.{index}.{sublayer}_norm", each.layer_norm)
        dense = block.layer[-1].DenseReluDense
        found[f"{name}.layers.{index}.feed_forward.hidden.weight"] = dense.wi.weight
        found[f"{name}.layers.{index}.feed_forward.output.weight"] = dense.wo.weight
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", SIZES, ids=["24", "10", "48"])
@pytest.mark.parametrize(("buckets", "max_distance"), [(8, 16), (8, 6), (6, 5)])
def test_t5(sizes: dict[str, Any], seed: int, buckets: int, max_distance: int) -> None:
    """Relative buckets, shared by all layers of a stack; unscaled scores; RMS norms; the scaled and tied head."""
    config = transformers.T5Config(
        vocab_size=witness.VOCAB,
        d_model=sizes["d_model"],
        d_kv=sizes["d_model"] // sizes["heads"] + 1,
        d_ff=sizes["d_ff"],
        num_layers=sizes["layers"],
        num_heads=sizes["heads"],
        relative_attention_num_buckets=buckets,
        relative_attention_max_distance=max_distance,
        decoder_start_token_id=0,
        attn_implementation="eager",
    )
    theirs = witness.shaken(transformers.T5ForConditionalGeneration(config), seed)
    assert theirs.config.scale_decoder_outputs
    d_head = sizes["d_model"] // sizes["heads"] + 1
    ours = witness.profile(
        "t5", **sizes_of(sizes, d_head=d_head, buckets=buckets, max_distance=max_distance, d_value=d_head)
    )
    weights = {"embedding.table": theirs.shared.weight, **t5_stack("encoder", theirs.encoder)}
    witness.port(ours, theirs, weights | t5_stack("decoder", theirs.decoder))

    source, target = witness.ids(seed, 3, 12), witness.ids(seed + 9, 3, 9)
    source_mask, target_mask = witness.padding(seed, 3, 12, "right"), witness.padding(seed + 1, 3, 9, "right")
    with witness.outputs(theirs.encoder.block) as their_source, witness.outputs(theirs.decoder.block) as their_target:
        expected = theirs(
            input_ids=source,
            attention_mask=source_mask.long(),
            decoder_input_ids=target,
            decoder_attention_mask=target_mask.long(),
            use_cache=False,
        ).logits
    with (
        witness.outputs(layers(ours, "encoder.layers")) as our_source,
        witness.outputs(layers(ours, "decoder.layers")) as our_target,
    ):
        got = ours(source, target, source_mask, target_mask)
    witness.require_same_layers(our_source, their_source, source_mask, "float32")
    witness.require_same_layers(our_target, their_target, target_mask, "float32")
    witness.require_near(got, expected, target_mask, "float32")
