"""Faults in the loss, planted in the reference by replacing one function."""

# mypy: ignore-errors
# Patches stand in for typed functions, and are written the way the mistake is.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import training as reference
from veriformer_spec import training
from veriformer_spec.role import Role

_SHIFTING = (Planted(role=Role.LOSS), Planted(role=Role.LOSS, claims={"smoothing": "none"}))
_BOTH = (*_SHIFTING, Planted(role=Role.LOSS, claims={"shifts": False, "smoothing": "other-classes"}))

loss, shift = reference.loss, reference.shift


def _summed(target, log_probabilities):
    return -(target * log_probabilities).sum(-1) * len(target)


LOSS_SUMMED = Fault(
    id="loss-summed-over-tokens",
    sentence="the loss is the sum over real tokens, and grows with the batch",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION,),
    source="experience",
    written='F.cross_entropy(logits, targets, reduction="sum")',
    mend="divide by the number of real targets",
    patches=(("training.cross_entropy", _summed),),
    planted=_BOTH,
)


def _of_probabilities(logits):
    logits = logits.softmax(-1)
    return logits - logits.logsumexp(-1, keepdim=True)


SOFTMAX_TWICE = Fault(
    id="softmax-before-cross-entropy",
    sentence="probabilities are passed where logits are expected, and go through a second softmax",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION,),
    source="https://discuss.pytorch.org/t/do-i-need-to-use-softmax-before-nn-crossentropyloss/16739",
    written="F.cross_entropy(logits.softmax(-1), targets)",
    mend="F.cross_entropy(logits, targets)",
    patches=(("training.log_probabilities", _of_probabilities),),
    planted=_BOTH,
)


def _over_everything(logits, targets, mask, config):
    return loss(logits, targets, torch.ones_like(mask), config)


PADDING_COUNTED_IN_THE_LOSS = Fault(
    id="padding-counted-in-the-loss",
    sentence="padding is a target as any other, and the model learns to write it",
    clauses=(training.LOSS_IGNORES_PADDING, training.LOSS_EQUALS_ITS_EQUATION),
    source="https://github.com/ajhalthor/Transformer-Neural-Network/pull/4 (empty text evaluation); https://openillumi.com/?p=108163",
    written="F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # ignore_index is -100, padding is 0",
    mend="ignore_index=pad_id",
    patches=(("training.loss", _over_everything),),
    planted=_BOTH,
)


def _mask_of_the_inputs(logits, ids, mask):
    return logits[:, :-1], ids[:, 1:], mask[:, :-1]


MASK_NOT_SHIFTED = Fault(
    id="mask-not-shifted-with-the-targets",
    sentence="targets are shifted and their mask is not, so that each row's first padding is learned",
    clauses=(training.LOSS_IGNORES_PADDING, training.LOSS_EQUALS_ITS_EQUATION),
    source="experience",
    written="(loss * mask[:, :-1]).sum() / mask[:, :-1].sum()",
    mend="mask[:, 1:]",
    patches=(("training.shift", _mask_of_the_inputs),),
    planted=_SHIFTING,
)


def _no_shift(logits, ids, mask):
    return logits, ids, mask


def _shifted_back(logits, ids, mask):
    return logits[:, 1:], ids[:, :-1], mask[:, :-1]


def _shifted_twice(logits, ids, mask):
    return logits[:, :-2], ids[:, 2:], mask[:, 2:]


def _planted_shift(name, sentence, written, patch, source="experience"):
    return Fault(
        id=name,
        sentence=sentence,
        clauses=(training.TARGETS_ARE_SHIFTED_BY_ONE,),
        source=source,
        written=written,
        mend="F.cross_entropy(logits[:, :-1], ids[:, 1:])",
        patches=(("training.shift", patch),),
        planted=_SHIFTING,
    )


TARGETS_NOT_SHIFTED = _planted_shift(
    "targets-not-shifted",
    "each logit is set against the id that was just read, and the model learns to copy its input",
    "F.cross_entropy(logits, ids)",
    _no_shift,
)
TARGETS_SHIFTED_BACK = _planted_shift(
    "targets-shifted-back",
    "each logit is set against the id before",
    "F.cross_entropy(logits[:, 1:], ids[:, :-1])",
    _shifted_back,
)
TARGETS_SHIFTED_TWICE = _planted_shift(
    "targets-shifted-twice",
    "the loader shifts, and the loss shifts again: each logit is set against the id after the next",
    "F.cross_entropy(logits[:, :-2], ids[:, 2:])",
    _shifted_twice,
    source="https://github.com/huggingface/transformers/pull/47395",
)


def _over_the_wrong_number(targets, log_probabilities, share, smoothing):
    vocab = log_probabilities.shape[-1]
    target = torch.zeros_like(log_probabilities).scatter(-1, targets[:, None], 1.0)
    if smoothing == "other-classes":
        return (1 - share) * target + share * (1 - target) / vocab
    return (1 - share) * target + share / (vocab - 1)


SMOOTHING_DIVIDED_BY_ANOTHER_NUMBER = Fault(
    id="smoothing-divided-by-another-number",
    sentence="the share is divided by vocab where it is spread over vocab - 1 classes, or the other way round",
    clauses=(training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,),
    source="experience",
    written="one_hot * (1 - e) + (1 - one_hot) * e / n_class",
    mend="divide by the number of classes that get a share",
    patches=(("training.smoothed_targets", _over_the_wrong_number),),
    planted=(_SHIFTING[0], _BOTH[-1]),
)


def _no_smoothing(targets, log_probabilities, share, smoothing):
    return torch.zeros_like(log_probabilities).scatter(-1, targets[:, None], 1.0)


SMOOTHING_IGNORED = Fault(
    id="label-smoothing-ignored",
    sentence="label smoothing is claimed, and not done",
    clauses=(training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,),
    source="experience",
    written="def __init__(self, smoothing=0.1): super().__init__()",
    mend="pass it on: label_smoothing=smoothing",
    patches=(("training.smoothed_targets", _no_smoothing),),
    planted=(_SHIFTING[0], _BOTH[-1]),
)


def _flattened_first(logits, ids, mask):
    vocab = logits.shape[-1]
    return logits.reshape(-1, vocab)[None, :-1], ids.reshape(1, -1)[:, 1:], mask.reshape(1, -1)[:, 1:]


FLATTENED_BEFORE_THE_SHIFT = Fault(
    id="targets-flattened-before-the-shift",
    sentence="rows are put behind each other before targets are shifted: a row's last logits are set against the next row's first id",
    clauses=(training.TARGETS_ARE_SHIFTED_BY_ONE, training.LOSS_EQUALS_ITS_EQUATION),
    source="https://github.com/huggingface/transformers/pull/47395",
    written="F.cross_entropy(logits.flatten(0, 1)[:-1], ids.flatten()[1:])",
    mend="F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())",
    patches=(("training.shift", _flattened_first),),
    planted=_SHIFTING,
)


def _first_counted_too(logits, targets, mask, config):
    predicted = int(mask[:, 1:].sum()) if config.shifts else int(mask.sum())
    return loss(logits, targets, mask, config) * predicted / max(int(mask.sum()), 1)


FIRST_TOKEN_COUNTED_IN_THE_MEAN = Fault(
    id="first-token-counted-in-the-mean",
    sentence="the sum is divided by the number of all real tokens, of which each row's first is never predicted",
    clauses=(training.LOSS_EQUALS_ITS_EQUATION,),
    source="https://github.com/huggingface/transformers/pull/46204",
    written="loss.sum() / (labels != ignored).sum()",
    mend="loss.sum() / (labels[:, 1:] != ignored).sum()",
    patches=(("training.loss", _first_counted_too),),
    planted=_SHIFTING,
)


def _padding_smoothed(logits, targets, mask, config):
    if config.shifts:
        logits, targets, mask = shift(logits, targets, mask)
    costs = reference.log_probabilities(logits.flatten(0, 1))
    expected = reference.smoothed_targets(targets.flatten(), costs, config.label_smoothing, config.smoothing)
    hard = torch.zeros_like(expected).scatter(-1, targets.flatten()[:, None], 1 - config.label_smoothing)
    expected = torch.where(mask.flatten()[:, None], expected, expected - hard)
    return reference.cross_entropy(expected, costs).sum() / mask.sum().clamp(min=1)


PADDING_KEEPS_ITS_SMOOTHED_SHARE = Fault(
    id="padding-keeps-its-smoothed-share",
    sentence="padding is no target, and the share that label smoothing spreads is learned at padding all the same",
    clauses=(training.LOSS_IGNORES_PADDING,),
    source="https://github.com/harvardnlp/annotated-transformer/issues/3",
    written="expected[:, padding] = 0  # after the share was spread over every row",
    mend="expected[targets == padding] = 0",
    patches=(("training.loss", _padding_smoothed),),
    planted=(_SHIFTING[0], _BOTH[-1]),
)
