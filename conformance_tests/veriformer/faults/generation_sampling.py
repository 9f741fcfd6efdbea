"""Faults in sampling, planted in the reference by replacing one function."""

# mypy: ignore-errors
# Patches stand in for typed functions, and are written the way the mistake is.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import generation as reference
from veriformer_spec import generation
from veriformer_spec.role import Role

_SAMPLE = (
    Planted(role=Role.GENERATION, claims={"strategies": ("sample",)}),
    Planted(role=Role.GENERATION, claims={"strategies": ("greedy", "beam", "sample")}),
)


def _multiplied(logits, temperature):
    return logits * temperature


TEMPERATURE_MULTIPLIED = Fault(
    id="temperature-multiplied",
    sentence="logits are multiplied by the temperature, so that a low one makes every id alike",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    source="experience",
    written="logits * temperature",
    mend="logits / temperature",
    patches=(("generation.cool", _multiplied),),
    planted=_SAMPLE,
)


def _after_the_softmax(logits, temperature):
    return logits.softmax(-1) / temperature


TEMPERATURE_AFTER_THE_SOFTMAX = Fault(
    id="temperature-after-the-softmax",
    sentence="probabilities are divided by the temperature, and go through a softmax once more",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    source="experience",
    written="torch.softmax(torch.softmax(logits, -1) / temperature, -1)",
    mend="torch.softmax(logits / temperature, -1)",
    patches=(("generation.cool", _after_the_softmax),),
    planted=_SAMPLE,
)


def _without_a_case_for_zero(logits, *, temperature, top_k, top_p):
    left = reference.cool(logits, temperature)
    if top_k is not None:
        left = reference.keep_top_k(left, top_k)
    if top_p is not None:
        left = reference.keep_top_p(left, top_p)
    return torch.multinomial(torch.softmax(left, dim=-1), 1)[:, 0]


TEMPERATURE_ZERO_CRASHES = Fault(
    id="temperature-zero-crashes",
    sentence="logits are divided by a temperature of zero, and drawing from what is no number crashes",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    source="https://github.com/karpathy/nanoGPT/blob/master/model.py",
    written="probs = torch.softmax(logits / temperature, -1); torch.multinomial(probs, 1)",
    mend="if temperature == 0: return logits.argmax(-1), or raise ValueError",
    patches=(("generation.draw", _without_a_case_for_zero),),
    planted=_SAMPLE,
)


def _one_too_many(logits, k):
    threshold = logits.topk(min(k + 1, logits.shape[-1]), dim=-1).values[:, -1:]
    return logits.masked_fill(logits < threshold, -torch.inf)


TOP_K_KEEPS_ONE_MORE = Fault(
    id="top-k-keeps-one-more",
    sentence="the threshold is the value behind the k-th, and so k + 1 ids are kept",
    clauses=(generation.TOP_K_KEEPS_EXACTLY_ITS_SET,),
    source="experience",
    written="threshold = logits.sort(descending=True).values[:, k]; logits[logits < threshold] = -inf",
    mend="threshold = logits.topk(k).values[:, -1]",
    patches=(("generation.keep_top_k", _one_too_many),),
    planted=_SAMPLE,
)


def _threshold_of_the_first_row(logits, k):
    threshold = logits[0].topk(min(k, logits.shape[-1])).values[-1]
    return logits.masked_fill(logits < threshold, -torch.inf).where((logits >= threshold).any(-1, keepdim=True), logits)


TOP_K_BY_THE_FIRST_ROW = Fault(
    id="top-k-by-the-first-row",
    sentence="the k-th largest logit of the first row is the threshold of every row",
    clauses=(generation.TOP_K_KEEPS_EXACTLY_ITS_SET,),
    source="experience",
    written="logits < torch.topk(logits, k)[0][0, -1]",
    mend="logits < torch.topk(logits, k)[0][:, -1, None]",
    patches=(("generation.keep_top_k", _threshold_of_the_first_row),),
    planted=_SAMPLE,
)


def _crossing_left_out(logits, p):
    probabilities, order = logits.softmax(-1).sort(dim=-1, descending=True)
    kept = probabilities.cumsum(-1) <= p
    kept[:, 0] = True
    return logits.masked_fill(~torch.zeros_like(kept).scatter(-1, order, kept), -torch.inf)


TOP_P_LEAVES_OUT_THE_CROSSING_ID = Fault(
    id="top-p-leaves-out-the-crossing-id",
    sentence="the id whose probability takes the sum beyond p is left out",
    clauses=(generation.TOP_P_KEEPS_EXACTLY_ITS_SET,),
    source="https://gist.github.com/thomwolf/1a5a29f6962089e871b94cbd09daf317",
    written="logits[sorted_ids[cumulative > p]] = -inf",
    mend="remove[1:] = remove[:-1].clone(); remove[0] = False",
    patches=(("generation.keep_top_p", _crossing_left_out),),
    planted=_SAMPLE,
)


def _sorted_mask(logits, p):
    probabilities = logits.softmax(-1).sort(dim=-1, descending=True).values
    return logits.masked_fill(probabilities.cumsum(-1) - probabilities >= p, -torch.inf)


TOP_P_MASK_LEFT_SORTED = Fault(
    id="top-p-mask-left-sorted",
    sentence="the mask is in the order of the sorted probabilities, and is applied to ids in their own order",
    clauses=(generation.TOP_P_KEEPS_EXACTLY_ITS_SET,),
    source="experience",
    written="logits[cumulative > p] = -inf",
    mend="remove = remove.scatter(-1, sorted_ids, remove)",
    patches=(("generation.keep_top_p", _sorted_mask),),
    planted=_SAMPLE,
)
