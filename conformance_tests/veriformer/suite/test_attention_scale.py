"""Attention, tested: what the scores are multiplied by, measured from outside."""

import dataclasses
import math

import torch
from torch import Tensor

from veriformer.alternatives import factor, factor_in_words, fitted_scale, matches
from veriformer.case import Case
from veriformer.inputs import Inputs
from veriformer.oracle import oracle
from veriformer.outcome import Inconclusive, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import attention
from veriformer_spec.role import Role


def weights_of(instance: Instance, inputs: Inputs, *, grad: bool = False) -> Tensor:
    """The weights over the keys, seen from outside: each value is a row of the identity.

    Raises:
        Vacuous: values have fewer features than there are keys.
    """
    value = inputs.tensors[2]
    if value.shape[-1] < inputs.k_len:
        raise Vacuous("values have fewer features than there are keys")
    identity = torch.eye(inputs.k_len, value.shape[-1], dtype=value.dtype, device=value.device).expand_as(value)
    output = instance(dataclasses.replace(inputs, tensors=(*inputs.tensors[:2], identity.contiguous())), grad=grad)
    return output[..., : inputs.k_len]


@checks(
    attention.SCALE_IS_AS_CLAIMED,
    sentence="a7d4dd5f",
    cases=cases(q_len=(2, 4), k_len=(2, 4), d_head=(5, 7), d_value=(5, 7)),
)
def test_scale_is_as_claimed(subject: Subject, case: Case) -> None:
    """The factor, measured from outside, is the one claimed."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    if subject.role is Role.ATTENTION:
        measured_by_weights(instance, inputs)
    else:
        measured_by_the_reference(instance, inputs)


def measured_by_weights(instance: Instance, inputs: Inputs) -> None:
    """How fast a weight's logarithm grows with the score is the factor."""
    claimed = factor(instance)
    query = inputs.tensors[0] / (claimed * math.sqrt(instance.config.d_head))  # scores of order one, whatever the claim
    inputs = inputs.with_queries(query)
    weights = weights_of(instance, inputs)
    key = inputs.tensors[1].repeat_interleave(instance.config.heads // instance.config.kv_heads, 1)
    raw = torch.einsum("bhqd,bhkd->bhqk", query.double(), key.double()).cpu()
    visible = inputs.visible()[:, None]
    cap = instance.config.soft_cap

    def shares(scale: float) -> Tensor:
        scores = raw * scale if cap is None else cap * torch.tanh(raw * scale / cap)
        grown = scores.masked_fill(~visible, -math.inf).exp()
        return grown / grown.sum(-1, keepdim=True)

    if matches(weights, shares(claimed), instance, inputs):
        return
    if cap is not None:  # bent scores do not grow as the raw ones do, so a slope says nothing
        d_head = instance.config.d_head
        for scale in (1.0, d_head**-0.5, 1 / d_head, d_head**0.5, (d_head * instance.config.heads) ** -0.5):
            if matches(weights, shares(scale), instance, inputs):
                raise wrong_scale(instance, inputs, scale)
        raise Inconclusive("the weights are no softmax of capped scores at all; see heads.scores-are-capped-as-claimed")
    pairs = visible & (weights.cpu() > 0)
    count = pairs.sum(-1, keepdim=True).clamp(min=1)
    rise = torch.where(pairs, weights.double().cpu().log(), 0.0)
    rise = torch.where(pairs, rise - rise.sum(-1, keepdim=True) / count, 0.0)
    run = torch.where(pairs, raw, 0.0)
    run = torch.where(pairs, run - run.sum(-1, keepdim=True) / count, 0.0)
    measured = float((rise * run).sum() / run.square().sum().clamp(min=1e-300))
    if not matches(weights, shares(measured), instance, inputs):
        raise Inconclusive("the weights are no softmax of scaled scores at all; see attention.equals-equation-1")
    raise wrong_scale(instance, inputs, measured)


def measured_by_the_reference(instance: Instance, inputs: Inputs) -> None:
    """Where the reference with the subject's weights disagrees, and agrees under another scale, the scale is wrong."""
    got = instance(inputs)
    if matches(got, oracle(instance)(inputs), instance, inputs):
        return
    measured = fitted_scale(instance, inputs, got)
    if measured is None:
        raise Inconclusive("the output is that of no scale at all; see heads.equals-the-reference")
    raise wrong_scale(instance, inputs, measured)


def wrong_scale(instance: Instance, inputs: Inputs, measured: float) -> Violation:
    """What was measured, and what that usually is."""
    claimed, config = factor(instance), instance.config
    legal = {"none": 1.0, "inverse-root": config.d_head**-0.5}
    fits = [name for name, each in legal.items() if abs(each - measured) <= 1e-6 * each and name != config.scale]
    seen = f": it behaves as scale={fits[0]}" if fits else ""
    return Violation(
        f"scores are multiplied by {factor_in_words(measured, instance, inputs.k_len)}, and not by {claimed:.6g}, "
        f"as scale={config.scale} says{seen}",
        expected=torch.tensor([claimed]),
        got=torch.tensor([measured]),
    )
