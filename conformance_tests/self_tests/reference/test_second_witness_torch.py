"""torch.nn.Transformer, layer by layer: the same weights, the same states, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from self_tests.reference import witness
from veriformer_spec.role import Role

SIZES: list[dict[str, Any]] = [
    {"d_model": 24, "heads": 4, "d_ff": 40, "layers": 2},
    {"d_model": 10, "heads": 5, "d_ff": 7, "layers": 3},
    {"d_model": 6, "heads": 1, "d_ff": 64, "layers": 1},
]


def attention(name: str, module: Any) -> dict[str, Tensor]:
    """The three projections stand stacked in one tensor."""
    parts = zip(("query", "key", "value"), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    found = witness.linear(f"{name}.output", module.out_proj)
    for part, weight, bias in parts:
        found |= {f"{name}.{part}.weight": weight, f"{name}.{part}.bias": bias}
    return found


def layer(name: str, module: Any, *, crosses: bool) -> dict[str, Tensor]:
    """One layer's tensors; where it crosses, the third norm is the feed-forward network's."""
    found = attention(f"{name}.attention", module.self_attn)
    found |= witness.norm(f"{name}.attention_norm", module.norm1)
    found |= witness.linear(f"{name}.feed_forward.hidden", module.linear1)
    found |= witness.linear(f"{name}.feed_forward.output", module.linear2)
    if not crosses:
        return found | witness.norm(f"{name}.feed_forward_norm", module.norm2)
    found |= attention(f"{name}.cross_attention", module.multihead_attn)
    found |= witness.norm(f"{name}.cross_attention_norm", module.norm2)
    return found | witness.norm(f"{name}.feed_forward_norm", module.norm3)


def stack(module: Any, *, crosses: bool) -> dict[str, Tensor]:
    """The tensors of a stack of layers and of its final norm."""
    found = witness.norm("final_norm", module.norm)
    for index, each in enumerate(module.layers):
        found |= layer(f"layers.{index}", each, crosses=crosses)
    return found


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # a fast path that these runs do not take
@pytest.mark.parametrize("sizes", SIZES, ids=["24", "10", "6"])
@pytest.mark.parametrize("placement", ["post", "pre"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("side", ["none", "right", "interior"])
def test_transformer(sizes: dict[str, Any], placement: str, activation: str, side: str) -> None:
    """Encoder and decoder over features, with a causal target and padding on both sides."""
    seed = sizes["d_model"]
    theirs = witness.shaken(
        nn.Transformer(
            sizes["d_model"],
            sizes["heads"],
            sizes["layers"],
            sizes["layers"],
            sizes["d_ff"],
            activation=activation,
            layer_norm_eps=1e-6,
            batch_first=True,
            norm_first=placement == "pre",
        ),
        seed,
    )
    d_head = sizes["d_model"] // sizes["heads"]
    claims: dict[str, object] = {"norm": placement, "activation": activation, "eps": 1e-6, "final_norm": True}
    many = {**sizes, "kv_heads": sizes["heads"], "d_head": d_head}
    encoder = witness.reference(Role.ENCODER, claims, **many)
    decoder = witness.reference(Role.DECODER, {**claims, "causal": True}, **many)
    witness.port(encoder, theirs.encoder, stack(theirs.encoder, crosses=False))
    witness.port(decoder, theirs.decoder, stack(theirs.decoder, crosses=True))

    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(3, 7, sizes["d_model"], generator=generator, dtype=torch.float64)
    target = torch.randn(3, 5, sizes["d_model"], generator=generator, dtype=torch.float64)
    source_mask = None if side == "none" else witness.padding(seed, 3, 7, side)
    target_mask = None if side == "none" else witness.padding(seed + 1, 3, 5, "right")
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    hidden_source = None if source_mask is None else ~source_mask
    hidden_target = None if target_mask is None else ~target_mask

    with witness.outputs(theirs.encoder.layers) as their_source, witness.outputs(theirs.decoder.layers) as their_target:
        expected = theirs(
            source,
            target,
            tgt_mask=future,
            src_key_padding_mask=hidden_source,
            tgt_key_padding_mask=hidden_target,
            memory_key_padding_mask=hidden_source,
        )
    with witness.outputs(encoder.get_submodule("layers").children()) as our_source:
        memory = encoder(source, None if source_mask is None else source_mask[:, None, None])
    with witness.outputs(decoder.get_submodule("layers").children()) as our_target:
        got = decoder(
            target,
            memory,
            None if target_mask is None else target_mask[:, None, None],
            None if source_mask is None else source_mask[:, None, None],
        )
    witness.require_same_layers(our_source, their_source, source_mask)
    witness.require_same_layers(our_target, their_target, target_mask)
    witness.require_near(got, expected, target_mask)
