"""Dropout by itself: faults planted and foreign, and near-misses."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.fault import Fault, NearMiss, Planted
from veriformer_reference import training as reference
from veriformer_spec import training
from veriformer_spec.role import Role

_DROPOUT = (Planted(role=Role.DROPOUT),)
draw_kept, drop = reference.draw_kept, reference.drop


def _exchanged(x, rate):
    return draw_kept(x, 1 - rate)


RATE_AND_ITS_COMPLEMENT_EXCHANGED = Fault(
    id="dropout-rate-and-its-complement-exchanged",
    sentence="the rate is taken for the probability of staying",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE,),
    source="experience",
    written="x * torch.bernoulli(torch.full_like(x, p))",
    mend="torch.bernoulli(torch.full_like(x, 1 - p))",
    patches=(("training.draw_kept", _exchanged),),
    planted=_DROPOUT,
)


def _whole_tokens(x, rate):
    return draw_kept(x[..., :1], rate).expand_as(x)


WHOLE_TOKENS_DROPPED = Fault(
    id="whole-tokens-dropped",
    sentence="one draw decides for all features of a token",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE,),
    source="experience",
    written="torch.rand(batch, time, 1) >= p",
    mend="torch.rand_like(x) >= p",
    patches=(("training.draw_kept", _whole_tokens),),
    planted=_DROPOUT,
)


def _not_rescaled(x, kept, rate):
    return x.masked_fill(~kept, 0.0)


def _scaled_down(x, kept, rate):
    return x.masked_fill(~kept, 0.0) * (1 - rate)


KEPT_FEATURES_NOT_RESCALED = Fault(
    id="kept-features-not-rescaled",
    sentence="features that stay are not divided by 1 - p, so that training sees less than evaluation",
    clauses=(training.DROPOUT_IS_UNBIASED,),
    source="experience",
    written="return x * mask",
    mend="return x * mask / (1 - p)",
    patches=(("training.drop", _not_rescaled),),
    planted=_DROPOUT,
)
KEPT_FEATURES_SCALED_DOWN = Fault(
    id="kept-features-scaled-down",
    sentence="features that stay are multiplied by 1 - p where they should be divided",
    clauses=(training.DROPOUT_IS_UNBIASED,),
    source="experience",
    written="return x * mask * (1 - p)",
    mend="return x * mask / (1 - p)",
    patches=(("training.drop", _scaled_down),),
    planted=_DROPOUT,
)


def dropping(forward, name):
    """A build function for a module that does ``forward(self, x)`` at ``self.p``."""

    @veriformer.subject("dropout")
    def build(config):
        module = type(name, (nn.Module,), {"forward": forward})()
        module.p = config.dropout
        module.mask = None
        return module

    build.__veriformer__ = dataclasses.replace(build.__veriformer__, name=name)
    return build


def rate_in_the_code(self, x):
    return F.dropout(x, 0.1, self.training)


def whole_features(self, x):
    """Drops a feature in every token of a row, as is done with images."""
    return F.dropout1d(x.mT, self.p, self.training).mT


def one_mask_for_the_batch(self, x):
    if not self.training or not self.p:
        return x
    return x * (torch.rand(x.shape[1:], device=x.device) >= self.p) / (1 - self.p)


def one_mask_for_ever(self, x):
    if not self.training or not self.p:
        return x
    if self.mask is None:
        self.mask = torch.rand(x.shape, device=x.device) >= self.p
    return x * self.mask / (1 - self.p)


def half_repeated(self, x):
    """Draws for the first half of the features, and uses it for both."""
    if not self.training or not self.p:
        return x
    half = torch.rand(*x.shape[:-1], -(-x.shape[-1] // 2), device=x.device) >= self.p
    return x * torch.cat((half, half), -1)[..., : x.shape[-1]] / (1 - self.p)


def a_fixed_number(self, x):
    """Drops exactly so many features of each token, always."""
    if not self.training or not self.p:
        return x
    count = round(self.p * x.shape[-1])
    order = torch.rand(x.shape, device=x.device).argsort(-1)
    return x * (order >= count) / (1 - self.p)


FEATURES_DROPPED_TOGETHER = Fault(
    id="features-dropped-together",
    sentence="the rate stands in the code, or one draw serves several features, tokens, rows or calls",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE,),
    source="experience",
    written="F.dropout1d(x, p)",
    mend="F.dropout(x, p, self.training)",
    builds=(
        dropping(rate_in_the_code, "rate_in_the_code"),
        dropping(whole_features, "whole_features"),
        dropping(one_mask_for_the_batch, "one_mask_for_the_batch"),
        dropping(one_mask_for_ever, "one_mask_for_ever"),
        dropping(half_repeated, "half_repeated"),
        dropping(a_fixed_number, "a_fixed_number"),
    ),
)


def always_on(self, x):
    return F.dropout(x, self.p)


def scaled_in_evaluation(self, x):
    """As the paper of 2014 has it: nothing is rescaled in training, and evaluation multiplies by 1 - p."""
    if self.training:
        return x * (torch.rand_like(x) >= self.p)
    return x * (1 - self.p)


def scaled_twice(self, x):
    return F.dropout(x, self.p, self.training) / (1 - self.p)


def rescaled_by_what_was_kept(self, x):
    """Divides by the share that happened to be kept, in place of its expectation."""
    if not self.training or not self.p:
        return x
    kept = torch.rand_like(x) >= self.p
    return x * kept / kept.double().mean().clamp(min=0.01)


DROPOUT_RESCALES_OTHERWISE = Fault(
    id="dropout-rescales-otherwise",
    sentence="dropout is on in evaluation, or is undone there, or rescales twice, or by the share that happened to be kept",
    clauses=(training.DROPOUT_IS_UNBIASED,),
    source="experience",
    written="F.dropout(x, p)  # training=True is its default",
    mend="F.dropout(x, p, self.training)",
    builds=(
        dropping(always_on, "always_on"),
        dropping(scaled_in_evaluation, "scaled_in_evaluation"),
        dropping(scaled_twice, "scaled_twice"),
        dropping(rescaled_by_what_was_kept, "rescaled_by_what_was_kept"),
    ),
)


@veriformer.subject("dropout")
def library_dropout(config):
    return nn.Dropout(config.dropout)


LIBRARY_DROPOUT = NearMiss(
    id="library-dropout",
    sentence="torch's own",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE, training.DROPOUT_IS_UNBIASED),
    build=library_dropout,
)


def scaled_mask(self, x):
    """The mask itself is 0 or 1/(1-p), in float32, drawn by a generator of its own."""
    if not self.training or self.p == 0:
        return x
    if self.mask is None:
        self.mask = torch.Generator().manual_seed(5)
    kept = torch.empty(x.shape, dtype=torch.float32).bernoulli_(1 - self.p, generator=self.mask)
    return x * kept.div_(1 - self.p).to(x.device)


SCALED_MASK = NearMiss(
    id="dropout-by-a-scaled-mask-in-float32",
    sentence="a float32 mask of 0 and 1/(1-p), drawn by a generator of the module's own, that is seeded once",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE, training.DROPOUT_IS_UNBIASED),
    build=dropping(scaled_mask, "scaled_mask"),
)


def gaussian_threshold(self, x):
    """Compares normal numbers with a quantile, and writes in place into a copy."""
    if not self.training or self.p == 0:
        return x.clone()
    at = float(torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(self.p, dtype=torch.float64)))
    out = x / (1 - self.p)
    out[torch.randn_like(x) < at] = 0
    return out


NORMAL_NUMBERS = NearMiss(
    id="dropout-by-normal-numbers",
    sentence="normal numbers are compared with a quantile, and what is dropped is overwritten",
    clauses=(training.DROPOUT_KEEPS_AT_THE_CLAIMED_RATE,),
    build=dropping(gaussian_threshold, "gaussian_threshold"),
)
