"""Losses in other styles than the reference's: faults, and correct ones that a careless property would fail."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

import veriformer
from veriformer.faults.fault import Fault, NearMiss
from veriformer_spec import training


def losing(function, **claims):
    """A build function for one loss, called as ``function(config, logits, targets, mask)``."""

    @veriformer.subject("loss", module=None, **claims)
    def build(config):
        return lambda logits, targets, mask: function(config, logits, targets, mask)

    build.__veriformer__ = dataclasses.replace(build.__veriformer__, name=function.__name__)
    return build


def library_loss(config, logits, ids, mask):
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(),
        ignore_index=config.pad_id, label_smoothing=config.label_smoothing,
    )  # fmt: skip


def mean_of_means(config, logits, ids, mask):
    nats = F.cross_entropy(logits[:, :-1].mT, ids[:, 1:], reduction="none", label_smoothing=config.label_smoothing)
    real = mask[:, 1:].double()
    return ((nats * real).sum(1) / real.sum(1)).mean()


def mean_over_all(config, logits, ids, mask):
    nats = F.cross_entropy(
        logits[:, :-1].mT, ids[:, 1:], reduction="none",
        ignore_index=config.pad_id, label_smoothing=config.label_smoothing,
    )  # fmt: skip
    return nats.mean()


def in_bits(config, logits, targets, mask):
    return library_loss(dataclasses.replace(config, label_smoothing=0), logits, targets, mask) / 0.6931471805599453


LOSS_AVERAGED_OVER_SOMETHING_ELSE = Fault(
    id="loss-averaged-over-something-else",
    sentence="the loss is the mean of each row's mean, or is divided by all positions, or counts in bits",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION,),
    source="https://unsloth.ai/blog/gradient",
    written='F.cross_entropy(..., reduction="none").mean()',
    mend="(loss * mask).sum() / mask.sum()",
    builds=(losing(mean_of_means), losing(mean_over_all), losing(in_bits, smoothing="none")),
)


def default_ignore_index(config, logits, ids, mask):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), label_smoothing=config.label_smoothing)


def inverted(config, logits, targets, mask):
    return F.cross_entropy(
        logits[mask.logical_not()], targets[mask.logical_not()], label_smoothing=config.label_smoothing
    )


class KullbackLeibler(nn.Module):
    """Smooths the targets of padding, too: a padded row of the target is not zero."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, logits, ids, mask):
        e, vocab = self.config.label_smoothing, logits.shape[-1]
        target = F.one_hot(ids, vocab) * (1 - e) + e / vocab
        nats = -(target * logits.log_softmax(-1))
        nats = nats.masked_fill((ids == self.config.pad_id)[..., None] & (F.one_hot(ids, vocab) > 0), 0.0)
        return nats.sum() / mask.sum()


@veriformer.subject("loss", shifts=False)
def padding_is_smoothed(config):
    return KullbackLeibler(config)


PADDING_REACHES_THE_LOSS = Fault(
    id="padding-reaches-the-loss",
    sentence="ignore_index is left at -100, or the mask is inverted, or padding keeps its smoothed share",
    clauses=(training.LOSS_IGNORES_PADDING,),
    source="https://pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
    written="nn.CrossEntropyLoss()(logits.flatten(0, 1), ids.flatten())",
    mend="nn.CrossEntropyLoss(ignore_index=pad_id)",
    builds=(losing(default_ignore_index), losing(inverted, shifts=False), padding_is_smoothed),
)


def rolled(config, logits, ids, mask):
    """Rolls the targets, so that the last logits are set against the first id."""
    return F.cross_entropy(logits.flatten(0, 1), ids.roll(-1, 1).flatten(), ignore_index=config.pad_id)


def shifts_again(config, logits, targets, mask):
    return library_loss(config, logits, targets, mask)


def copies(config, logits, ids, mask):
    return F.cross_entropy(logits.mT, ids, ignore_index=config.pad_id, label_smoothing=config.label_smoothing)


TARGETS_AT_ANOTHER_PLACE = Fault(
    id="targets-at-another-place",
    sentence="the last logits are set against the first id, or targets that are shifted already are shifted again, or nothing is shifted",
    clauses=(training.TARGETS_ARE_SHIFTED_BY_ONE,),
    source="experience",
    written="F.cross_entropy(logits, ids.roll(-1))",
    mend="F.cross_entropy(logits[:, :-1], ids[:, 1:])",
    builds=(losing(rolled, smoothing="none"), losing(shifts_again, shifts=False), losing(copies)),
)


def without_the_padding_class(config, logits, ids, mask):
    """As in a well-known annotated tutorial: neither padding nor the target gets a share."""
    logits, ids, mask = logits[:, :-1], ids[:, 1:], mask[:, 1:]
    target = torch.full_like(logits, config.label_smoothing / (logits.shape[-1] - 2))
    target[..., config.pad_id] = 0
    target.scatter_(-1, ids[..., None], 1 - config.label_smoothing)
    return -(target * logits.log_softmax(-1)).sum(-1)[mask].mean()


def target_counted_twice(config, logits, ids, mask):
    logs = logits[:, :-1].log_softmax(-1)[mask[:, 1:]]
    right = logs.gather(-1, ids[:, 1:][mask[:, 1:]][:, None])[:, 0]
    return -(right + config.label_smoothing * logs.mean(-1)).mean()


SHARE_SPREAD_OTHERWISE = Fault(
    id="smoothing-spread-otherwise",
    sentence="the padding class is left out, or the target keeps its whole weight, or all classes share where all others are claimed",
    clauses=(training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,),
    source="https://nlp.seas.harvard.edu/annotated-transformer/#label-smoothing",
    written="true_dist.fill_(e / (size - 2)); true_dist[:, padding_idx] = 0",
    mend="spread over vocab classes, or over vocab - 1, and claim which",
    builds=(
        losing(without_the_padding_class, smoothing="other-classes"),
        losing(target_counted_twice),
        losing(library_loss, smoothing="other-classes"),
    ),
)

LIBRARY_LOSS = NearMiss(
    id="library-cross-entropy",
    sentence="torch's cross entropy with ignore_index, which looks at no mask",
    clauses=(
        training.LOSS_EQUALS_ITS_EQUATION, training.LOSS_IGNORES_PADDING, training.TARGETS_ARE_SHIFTED_BY_ONE,
        training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,
    ),
    build=losing(library_loss),
)  # fmt: skip


def upcast(config, logits, ids, mask):
    logits = logits.float()
    ids = F.pad(ids, (0, 1), value=-100)[:, 1:].masked_fill(~F.pad(mask, (0, 1))[:, 1:], -100)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids.reshape(-1), reduction="sum") / (ids != -100).sum()


LOSS_IN_FLOAT32 = NearMiss(
    id="loss-in-float32",
    sentence="logits are cast to float32, padding to -100, and the targets are padded behind rather than the logits cut",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION, training.LOSS_IGNORES_PADDING, training.TARGETS_ARE_SHIFTED_BY_ONE),
    build=losing(upcast, smoothing="none"),
)


class DivergenceLoss(nn.Module):
    """The divergence from the smoothed targets, plus their entropy, which is what makes it a cross entropy."""

    def __init__(self, config):
        super().__init__()
        self.config, self.divergence = config, nn.KLDivLoss(reduction="none")

    def forward(self, logits, targets, mask):
        others = self.config.label_smoothing / (logits.shape[-1] - 1)
        expected = torch.full_like(logits, others).scatter(-1, targets[..., None], 1 - self.config.label_smoothing)
        nats = self.divergence(logits.log_softmax(-1), expected) - torch.xlogy(expected, expected)
        return (nats.sum(-1) * mask).sum() / mask.sum()


@veriformer.subject("loss", shifts=False, smoothing="other-classes")
def divergence(config):
    return DivergenceLoss(config)


LOSS_BY_DIVERGENCE = NearMiss(
    id="loss-by-divergence",
    sentence="a divergence from smoothed targets with their entropy added, over targets that are shifted already",
    clauses=(
        training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,
        training.LOSS_EQUALS_ITS_EQUATION,
        training.TARGETS_ARE_SHIFTED_BY_ONE,
    ),
    build=divergence,
)


def in_chunks(config, logits, ids, mask):
    total = sum(
        F.cross_entropy(
            logits[row, :-1], ids[row, 1:], reduction="sum",
            ignore_index=config.pad_id, label_smoothing=config.label_smoothing,
        )
        for row in range(len(ids))
    )  # fmt: skip
    return (total / mask[:, 1:].sum()).reshape(1)


LOSS_IN_CHUNKS = NearMiss(
    id="loss-in-chunks",
    sentence="rows are summed one after the other and divided once; the result is a tensor of one element",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION, training.LOSS_IGNORES_PADDING),
    build=losing(in_chunks),
)
