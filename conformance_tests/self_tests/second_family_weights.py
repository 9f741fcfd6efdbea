"""Weights of the second family by the reference's names, ported by hand: tests alone know which is which."""

# mypy: ignore-errors
# What it reads are modules without types.

from collections.abc import Mapping

from torch import Tensor, nn

from veriformer.faults.second import additive, bert, einsum, gpt, llama, parts, sequence_first, t5, translator
from veriformer_spec.config import Config

Named = dict[str, Tensor]


def _under(prefix: str, named: Mapping[str, Tensor]) -> Named:
    return {f"{prefix}.{name}": tensor for name, tensor in named.items()}


def _linear(name: str, module: nn.Module) -> Named:
    """An nn.Linear, or a Dense whose weight is [in, out]."""
    weight = module.w.t() if isinstance(module, parts.Dense) else module.weight
    bias = module.b if isinstance(module, parts.Dense) else module.bias
    return {f"{name}.weight": weight} | ({} if bias is None else {f"{name}.bias": bias})


def _fused(weight: Tensor, bias: Tensor | None, names: tuple[str, ...] = ("query", "key", "value")) -> Named:
    named = {f"{name}.weight": each for name, each in zip(names, weight.chunk(len(names)), strict=True)}
    if bias is not None:
        named |= {f"{name}.bias": each for name, each in zip(names, bias.chunk(len(names)), strict=True)}
    return named


def _norm(module: nn.Module) -> Named:
    if isinstance(module, parts.Norm):
        return {"gain": module.stretch} | ({} if module.moved is None else {"shift": module.moved})
    if isinstance(module, sequence_first.RMSNorm):
        return {"gain": module.scale}
    return {"gain": module.weight} | ({} if module.bias is None else {"shift": module.bias})


def _thinking(module: parts.Thinking) -> Named:
    names = ("gate", "hidden") if module.gated else ("hidden",)
    return _fused(module.wide.w.t(), module.wide.b, names) | _linear("output", module.narrow)


def _einsum(module: einsum.EinsumAttention) -> Named:
    named: Named = {}
    for name, weight in (("query", module.to_query), ("key", module.to_key), ("value", module.to_value)):
        named[f"{name}.weight"] = weight.permute(0, 2, 1).flatten(0, 1)
    named["output.weight"] = module.back.flatten(0, 1).t()
    if module.offsets is not None:
        named |= {
            f"{name}.bias": each.flatten() for name, each in zip(("query", "key", "value"), module.offsets, strict=True)
        }
        named["output.bias"] = module.end
    return named


def _layer(attention: Named, attention_norm: nn.Module, feed_forward: Named, feed_forward_norm: nn.Module) -> Named:
    return (
        _under("attention", attention)
        | _under("attention_norm", _norm(attention_norm))
        | _under("feed_forward", feed_forward)
        | _under("feed_forward_norm", _norm(feed_forward_norm))
    )


def _einsum_layer(module: einsum.EinsumLayer) -> Named:
    return _layer(_einsum(module.attention), module.norms[0], _thinking(module.thinking), module.norms[1])


def _fused_layer(module: sequence_first.FusedLayer) -> Named:
    inner = module.self_attn
    attention = _fused(inner.in_proj_weight, inner.in_proj_bias) | _linear("output", inner.out_proj)
    network = _linear("hidden", module.linear1) | _linear("output", module.linear2)
    return _layer(attention, module.norm1, network, module.norm2)


def _fused_encoder(module: sequence_first.FusedEncoder) -> Named:
    named: Named = {}
    for index, block in enumerate(module.blocks):
        named |= _under(f"layers.{index}", _fused_layer(block))
    if getattr(module.places, "learned", None) is not None:
        named["positions.table"] = module.places.learned.t()
    return named if isinstance(module.last, nn.Identity) else named | _under("final_norm", _norm(module.last))


def _dict_attention(p: nn.ParameterDict) -> Named:
    named = {"query.weight": p["wq"].t(), "query.bias": p["bq"], "output.weight": p["wo"].t(), "output.bias": p["bo"]}
    return named | _fused(p["wkv"].t(), p["bkv"], ("key", "value"))


def _dict_layer(p: nn.ModuleDict) -> Named:
    names = {"look": "attention", "read": "cross_attention", "think": "feed_forward"}
    named: Named = {}
    for key, name in names.items():
        if key not in p:
            continue
        named |= _under(f"{name}_norm", {"gain": p[f"{key}_norm"]["g"], "shift": p[f"{key}_norm"]["b"]})
        if key != "think":
            named |= _under(name, _dict_attention(p[key]))
    network = p["think"]
    named |= {"feed_forward.hidden.weight": network["w1"].t(), "feed_forward.hidden.bias": network["b1"]}
    return named | {"feed_forward.output.weight": network["w2"].t(), "feed_forward.output.bias": network["b2"]}


def _dict_stack(p: nn.ModuleDict) -> Named:
    named: Named = {}
    for index, layer in enumerate(p["layers"]):
        named |= _under(f"layers.{index}", _dict_layer(layer))
    return named | ({"final_norm.gain": p["last"]["g"], "final_norm.shift": p["last"]["b"]} if len(p["last"]) else {})


def _translator(module: translator.Translator) -> Named:
    named = _under("encoder", _dict_stack(module.encoder)) | _under("decoder", _dict_stack(module.decoder))
    named["embedding.table"] = module.words
    return (
        named
        if module.others is None
        else named | {"target_embedding.table": module.others, "head.output.weight": module.out.t()}
    )


def _gpt(module: gpt.GPT) -> Named:
    named = {"embedding.table": module.wte.weight, "stack.positions.table": module.wpe.weight}
    for index, block in enumerate(module.h):
        attention = _fused(block.attn.c_attn.w.t(), block.attn.c_attn.b) | _linear("output", block.attn.c_proj)
        network = _linear("hidden", block.c_fc) | _linear("output", block.c_proj)
        named |= _under(f"stack.layers.{index}", _layer(attention, block.ln_1, network, block.ln_2))
    named |= _under("stack.final_norm", _norm(module.ln_f))
    return named if module.lm_head is None else named | _linear("head.output", module.lm_head)


def _grouped(module: llama.Grouped) -> Named:
    rows = module.wqkv.weight.split([each * module.size for each in module.many])
    return {f"{name}.weight": each for name, each in zip(("query", "key", "value"), rows, strict=True)} | _linear(
        "output", module.wo
    )


def _llama_layer(module: llama.LlamaLayer) -> Named:
    return _layer(_grouped(module.attention), module.input_norm, _thinking(module.mlp), module.post_norm)


def _llama(module: llama.Llama) -> Named:
    named = {"embedding.table": module.embed.weight} | _linear("head.output", module.lm_head)
    for index, layer in enumerate(module.layers):
        named |= _under(f"stack.layers.{index}", _llama_layer(layer))
    return named | _under("stack.final_norm", _norm(module.norm))


def _bert(module: bert.Bert) -> Named:
    named = {"embedding.table": module.words.weight, "stack.positions.table": module.places.weight}
    if module.kinds is not None:
        named["embedding.segment_table"] = module.kinds.weight
    named |= _under("stack.embedding_norm", _norm(module.entrance))
    for index, layer in enumerate(module.layer):
        weight = layer.query_key_value.weight.unflatten(0, (layer.heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        bias = layer.query_key_value.bias.unflatten(0, (layer.heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        attention = _fused(weight, bias) | _linear("output", layer.dense)
        network = _linear("hidden", layer.h_to_4h) | _linear("output", layer.back)
        named |= _under(f"stack.layers.{index}", _layer(attention, layer.attention_norm, network, layer.output_norm))
    named |= _linear("head.transform", module.transform) | _under("head.norm", _norm(module.transform_norm))
    return named | {"head.output.weight": module.decoder.weight, "head.bias": module.decoder.bias}


def _t5_stack(module: t5.Stack) -> Named:
    named: Named = {"relative.table": module.distances.table.t()} | _under("final_norm", _norm(module.final))
    for index, block in enumerate(module.block):
        sides = {"attention": block.look} | ({} if block.read is None else {"cross_attention": block.read})
        norms = {"attention_norm": block.norms[0], "feed_forward_norm": block.norms[-1]}
        if block.read is not None:
            norms["cross_attention_norm"] = block.norms[1]
        for name, own in sides.items():
            for part, linear in (("query", own.q), ("key", own.k), ("value", own.v), ("output", own.o)):
                named |= _linear(f"layers.{index}.{name}.{part}", linear)
        for name, norm in norms.items():
            named |= _under(f"layers.{index}.{name}", _norm(norm))
        named |= _linear(f"layers.{index}.feed_forward.hidden", block.wi) | _linear(
            f"layers.{index}.feed_forward.output", block.wo
        )
    return named


def ported(module: nn.Module, config: Config) -> Named:
    """``module``'s weights by the reference's names, shaped [out, in]."""
    if isinstance(module, parts.Norm):
        return _norm(module)
    if isinstance(module, t5.T5):
        stacks = _under("encoder", _t5_stack(module.encoder)) | _under("decoder", _t5_stack(module.decoder))
        return {"embedding.table": module.shared.weight} | stacks
    if isinstance(module, parts.Places):
        return {} if module.learned is None else {"table": module.learned.t()}
    if isinstance(module, parts.Words):
        return {"table": module.table} | ({} if module.kinds is None else {"segment_table": module.kinds})
    known = {
        parts.Thinking: _thinking,
        additive.PaperAttention: lambda own: {
            "query.weight": own.W.t(),
            "memory.weight": own.U.t(),
            "score.weight": own.v[None],
        },
        einsum.EinsumAttention: _einsum,
        einsum.EinsumLayer: _einsum_layer,
        sequence_first.FusedEncoderLayer: _fused_layer,
        sequence_first.FusedEncoder: _fused_encoder,
        translator.DecoderLayer: lambda own: _dict_layer(own.p),
        translator.Decoder: lambda own: _dict_stack(own.p),
        translator.Translator: _translator,
        gpt.GPT: _gpt,
        llama.Rotating: _grouped,
        llama.LlamaLayer: _llama_layer,
        llama.Llama: _llama,
        bert.Bert: _bert,
        t5.Stack: _t5_stack,
        t5.Distances: lambda own: {"table": own.table.t()},
    }
    named: Named = known[type(module)](module)
    return named
