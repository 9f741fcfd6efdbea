"""Faults between encoder, decoder and head: seen in the wild, planted in the reference."""

# mypy: ignore-errors
# Patches stand in for the reference's functions, and are written as briefly as the mistakes are.

import weakref

import torch

from veriformer.faults.fault import Fault
from veriformer.faults.model import GPT, ORIGINAL, PRE_PAIR
from veriformer_reference import masking, stack
from veriformer_reference import model as reference
from veriformer_spec import model, state

encoder_decoder, output_weight, project = reference.encoder_decoder, reference.output_weight, reference.project


def _fed_with_zeros(source, target, source_mask, target_mask, own, config):
    visible = masking.for_every_query(source_mask)
    memory = own.encoder(own.embedding(source), visible, reference.positions(source_mask))
    tokens = torch.zeros_like(own.target_tokens(target))
    states = own.decoder(
        tokens, memory, masking.for_every_query(target_mask), visible, reference.positions(target_mask)
    )
    return reference.logits(states, own.target_tokens, own.head, config)


TARGET_REPLACED_BY_ZEROS = Fault(
    id="target-replaced-by-zeros",
    sentence="The decoder is fed with zeros in place of the target that was written so far.",
    clauses=(model.EQUALS_THE_REFERENCE,),
    source="https://openillumi.com/en/en-pytorch-transformer-multidim-output-same-fix",
    written="decoder(torch.zeros_like(target), memory)",
    mend="decoder(target[:, :-1], memory), with the start token in front",
    patches=(("model.encoder_decoder", _fed_with_zeros),),
    planted=(ORIGINAL, PRE_PAIR),
)


def _layer_by_layer(source, target, source_mask, target_mask, own, config):
    visible, places = masking.for_every_query(source_mask), reference.positions(source_mask)
    states, memories = stack.bottom(own.embedding(source), own.encoder, own.encoder.config, places), []
    for layer in stack.in_order(own.encoder.layers, own.encoder.config):
        states = layer(states, visible, places)
        memories.append(states)
    memories[-1] = stack.top(states, own.encoder)
    hidden, places = masking.for_every_query(target_mask), reference.positions(target_mask)
    tokens = stack.bottom(own.target_tokens(target), own.decoder, own.decoder.config, places)
    for layer, memory in zip(stack.in_order(own.decoder.layers, own.decoder.config), memories, strict=True):
        tokens = layer(tokens, memory, hidden, visible, places)
    return reference.logits(stack.top(tokens, own.decoder), own.target_tokens, own.head, config)


MEMORY_OF_THE_LAYER_BESIDE = Fault(
    id="memory-of-the-layer-beside",
    sentence="Each decoder layer reads the encoder layer beside it, and not what the encoder returns.",
    clauses=(model.EQUALS_THE_REFERENCE,),
    source="experience",
    written="for layer, memory in zip(decoder.layers, encoder_states): x = layer(x, memory)",
    mend="for layer in decoder.layers: x = layer(x, encoder_states[-1])",
    patches=(("model.encoder_decoder", _layer_by_layer),),
    planted=(ORIGINAL, PRE_PAIR),
)


def _some_rows_zero(x, weight, bias):
    kept = torch.arange(len(weight), device=weight.device) % 3 != 1
    return project(x, weight * kept[:, None], bias)


LOGITS_OF_SOME_WORDS_ZEROED = Fault(
    id="logits-of-some-words-zeroed",
    sentence="Some words have a row of zeros in the output projection: their logit never changes.",
    clauses=(model.LOGITS_COVER_THE_VOCABULARY, model.EQUALS_THE_REFERENCE),
    source="arXiv 2604.28118 (DEFault++), DEForm operator OZR",
    written="head.weight[added_ids] = 0",
    mend="initialise the rows of added words like the others",
    patches=(("model.project", _some_rows_zero),),
    planted=(GPT, ORIGINAL),
)

_STARTED = weakref.WeakSet()


def _started_anew(own, tokens):
    weight = output_weight(own, tokens)
    if own not in _STARTED:
        _STARTED.add(own)
        with torch.no_grad():
            weight.copy_(torch.randn_like(weight) / weight.shape[-1] ** 0.5)
    return weight


HEAD_INITIALISED_AT_THE_FIRST_CALL = Fault(
    id="head-initialised-at-the-first-call",
    sentence="The output projection is initialised when it is first called, after a checkpoint was loaded into it.",
    clauses=(state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION,),
    source="arXiv 2604.28118 (DEFault++), DEForm operator ORI",
    written="if not self.started: nn.init.normal_(self.head.weight)",
    mend="initialise in __init__",
    patches=(("model.output_weight", _started_anew),),
    planted=(GPT, ORIGINAL),
)
