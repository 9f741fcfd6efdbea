"""Calls whose scores are large: up to about 1e6, and never beyond; at 1e20 a legal mask of -1e9 would leak."""

import dataclasses
import math

import torch

from veriformer.alternatives import factor
from veriformer.inputs import Inputs
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec.role import DECODERS, MODELS, STACKS, Role

GROWTH = 1e3
"""Growth of queries and of keys; scores then grow a million times."""


def largest_score(subject: Subject) -> float:
    """The largest score that is asked of the subject's dtype."""
    return 1e3 if subject.dtype is torch.float16 else 1e6


def with_large_scores(instance: Instance, inputs: Inputs, largest: float) -> Inputs:
    """The same call of plain attention, with queries and keys multiplied until the largest score is ``largest``."""
    query, key, value = inputs.tensors
    groups = query.shape[1] // key.shape[1]
    keys = key.double().repeat_interleave(groups, 1)
    scores = torch.einsum("bhqd,bhkd->bhqk", query.double(), keys) * factor(instance)
    growth = math.sqrt(largest / max(float(scores.abs().max()), 1e-30))
    return dataclasses.replace(inputs, tensors=(query * growth, key * growth, value))


def enlarged(instance: Instance, inputs: Inputs) -> Inputs:
    """The same call with scores near 1e6: inputs, and in stacks the gains and shifts of the norms too, times ``GROWTH``.

    Queries and keys are linear in what a norm puts out, however their projections are parametrised; matrices are left
    alone, because where a projection is a product of two, scores would grow with the fourth power.
    """
    growth = 1e2 if instance.subject.dtype is torch.float16 else GROWTH
    if inputs.role in (*STACKS, *DECODERS, *MODELS):
        config = instance.config
        # what ids become is made large in their place: the table of embeddings, which is an output projection at most
        shapes = {(config.d_model,), (config.vocab, config.d_model)} if inputs.vocab else {(config.d_model,)}
        with torch.no_grad():
            for _, parameter in trainable(instance.module_or_not_checked()):
                if tuple(parameter.shape) in shapes:
                    parameter.mul_(growth)
    if inputs.role is Role.ATTENTION:
        query, key, value = inputs.tensors
        return inputs.with_queries(query * growth).with_keys((key * growth, value))
    if inputs.vocab:
        return inputs
    tokens = tuple(each * growth for each in inputs.tensors[: 1 if inputs.self_attending else None])
    return inputs.with_queries(tokens[0]).with_keys(tokens[-1:])
