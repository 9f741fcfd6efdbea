"""Learning: a small model is trained to copy, and what it then writes is looked at.

Many mistakes crash nothing and leave the loss falling: padding that is learnt instead of words, targets that are not shifted,
gradients that do not arrive. Copying what was never seen before is what such a model cannot do, and it fails in a way that
tells which mistake it was: it ends at once, or it repeats what it has just read.

The text of a causal language model is ``words GO words END``; an encoder-decoder reads ``words`` and writes ``GO words END``.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from veriformer.inputs import generator
from veriformer.outcome import SubjectError
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec.role import Role

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits, the ids that were read, and True at real ones; gives what is made small."""

LONGEST = 5
"""Words in the longest text that is copied."""
SHORTEST_UNSEEN = 2
"""Of one word there are too few texts to keep some unseen."""
RATE = 3e-3
WARMUP = 100
"""Steps over which the learning rate rises; it then falls to a twentieth at the last step."""
BATCH = 32
TESTED = 32
"""Unseen texts of each length."""
LEARNT = 0.01
"""The loss at copied words, in nats, below which there is nothing left to learn."""
SURE = 30
"""Steps in a row below it, after which the training stops."""

copying_models = cases(
    batch=(1, 1), q_len=(12, 12), k_len=(12, 12), context=(12, 12), heads=(4, 4), d_head=(8, 8), d_ff=(64, 64),
    layers=(2, 2), groups=(2, 2), vocab=(11, 11), window=(12, 12), sides=("cross",),
)  # fmt: skip
"""Cases of models that are small enough to be trained, and large enough to learn; built with the subject's own first weights."""


class Verdict(StrEnum):
    """What the trained model does with texts that it has never seen."""

    COPIES = "copies"
    COLLAPSES = "collapses to the end token or to padding"
    REPEATS = "repeats what it has just read"
    PARTLY = "copies some texts and not others"
    BY_HEART = "knows the copies in training and cannot write them: it sees the answer, or learnt by heart"
    FAILS = "writes something else"


@dataclass(frozen=True)
class Learned:
    """What came of the training.

    Attributes:
        curve: the loss that was made small, at each step, in nats.
        copied: the share of unseen texts that came back word for word, the end token behind them.
        collapsed: the share of unseen texts for which the first id that was written is the end token or padding.
        repeated: the share for which every id that was written is the last one that was read.
        known: whether the training stopped because the next word of every copy was known.
        out_of_time: whether the training was broken off.
    """

    curve: tuple[float, ...]
    copied: float
    collapsed: float
    repeated: float
    known: bool = False
    out_of_time: bool = False

    @property
    def verdict(self) -> Verdict:
        """What nine in ten texts say.

        Half of them copied is neither right nor wrong: more steps might do. Nor is something else wrong by itself: weights that
        start very small, as GPT-2's do, learn a small model's task slowly. Try larger ones (``weights.randomise``), or longer.
        """
        for share, verdict in (
            (self.copied, Verdict.COPIES),
            (self.collapsed, Verdict.COLLAPSES),
            (self.repeated, Verdict.REPEATS),
        ):
            if share >= 0.9:
                return verdict
        if self.copied >= 0.5:
            return Verdict.PARTLY
        return Verdict.BY_HEART if self.known else Verdict.FAILS


@dataclass(frozen=True)
class Alphabet:
    """Who is who in a vocabulary.

    Attributes:
        pad: padding, as ``config.pad_id`` has it.
        end: what is written behind the copy.
        go: what is read where the copy shall begin.
        words: all others.
    """

    pad: int
    end: int
    go: int
    words: tuple[int, ...]

    @classmethod
    def of(cls, vocab: int, pad: int) -> "Alphabet":
        """The first two ids that are not padding mark the end and the beginning.

        Raises:
            ValueError: fewer than four words would be left.
        """
        others = [id_ for id_ in range(vocab) if id_ != pad]
        if len(others) < 6:
            raise ValueError(f"{vocab=} must be at least 7, because copying needs words, an end and a beginning")
        return cls(pad, others[0], others[1], tuple(others[2:]))

    def side_by_side(self, rows: list[list[int]]) -> Tensor:
        """Rows of any lengths, with padding behind the shorter ones."""
        longest = max(map(len, rows))
        return torch.tensor([row + [self.pad] * (longest - len(row)) for row in rows])


def cannot_learn(subject: Subject) -> str | None:
    """Why copying cannot be asked of a subject, or None if it can.

    Attention without positions sees a bag of words. A causal mask tells positions apart by itself, a source has none.
    """
    of_attention = subject.claims.get("cell") == "attention"
    if subject.role is Role.ENCODER_DECODER and of_attention and subject.claims["positions"] == "none":
        return "no positions: the source is a bag of words, whose order nobody can copy"
    return None


def is_unseen(words: list[int]) -> bool:
    """Whether a text is kept for the test: about one in four."""
    return sum((place + 1) * word for place, word in enumerate(words)) % 4 == 0


def texts(
    alphabet: Alphabet, random: torch.Generator, *, unseen: bool, shortest: int, longest: int
) -> Iterator[list[int]]:
    """Texts of the wanted kind, without end. No word stands twice in one: what follows a word is known by the word alone.

    So a model that tells positions apart by their differences only has no harder a task than one with a table.
    """
    while True:
        length = int(torch.randint(shortest, longest + 1, (1,), generator=random))
        drawn = torch.randperm(len(alphabet.words), generator=random)[:length].tolist()
        words = [alphabet.words[place] for place in drawn]
        if is_unseen(words) == unseen:
            yield words


def next_token_loss(logits: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """The mean over real tokens of the cross-entropy of each next id."""
    wanted = real[:, 1:]
    return functional.cross_entropy(logits[:, :-1][wanted], ids[:, 1:][wanted])


def read(instance: Instance, alphabet: Alphabet, source: Tensor | None, ids: Tensor) -> Tensor:
    """The logits at ``ids``; masks are passed where padding is accepted."""
    masked = "padding" in instance.subject.masks
    device = instance.subject.device

    def real(tokens: Tensor) -> Tensor | None:
        return (tokens != alphabet.pad).to(device) if masked else None

    arguments: tuple[Any, ...] = (ids.to(device), real(ids))
    if source is not None:
        arguments = (source.to(device), ids.to(device), real(source), real(ids))
    logits = instance.raw(*arguments)
    if not isinstance(logits, Tensor):
        raise SubjectError(f"call returned a {type(logits).__name__} where logits are promised", origin="call")
    return logits.cpu()


def asked(instance: Instance, alphabet: Alphabet, rows: list[list[int]]) -> tuple[Tensor | None, list[list[int]]]:
    """What stands before the copy: of an encoder-decoder the source, and the ids that the decoder reads first."""
    if instance.subject.role is Role.ENCODER_DECODER:
        return alphabet.side_by_side(rows), [[alphabet.go] for _ in rows]
    return None, [[*words, alphabet.go] for words in rows]


def batches(instance: Instance, alphabet: Alphabet, random: torch.Generator, longest: int) -> Iterator[list[list[int]]]:
    """Texts to learn from: of all lengths together, or of one length each where padding is not accepted."""
    padded = "padding" in instance.subject.masks
    while True:
        length = int(torch.randint(1, longest + 1, (1,), generator=random))
        shortest, most = (1, longest) if padded else (length, length)
        drawn = texts(alphabet, random, unseen=False, shortest=shortest, longest=most)
        yield [next(drawn) for _ in range(BATCH)]


def rate(step: int, steps: int) -> float:
    """The learning rate at a step, counted from zero."""
    return RATE * min(1.0, (step + 1) / WARMUP) * max(0.05, 1 - step / steps)


def loss_at_copies(logits: Tensor, ids: Tensor, alphabet: Alphabet) -> float:
    """How well the next words are known behind ``GO``, whatever is being made small."""
    copied = ((ids == alphabet.go).cumsum(dim=1) > 0) & (ids != alphabet.pad)
    copied[:, 1:] &= copied[:, :-1].clone()
    behind = torch.cat((torch.zeros_like(copied[:, :1]), copied[:, 1:]), dim=1)
    return float(next_token_loss(logits.detach(), ids, behind))


def train(
    instance: Instance,
    alphabet: Alphabet,
    *,
    loss: Loss,
    steps: int,
    seconds: float,
    seed: int,
    longest: int,
) -> tuple[tuple[float, ...], bool]:
    """Adam, a warm-up, a bound on the gradient: until the copies are known, or the steps or the seconds are over.

    Returns:
        the loss at each step, and whether the copies are known.
    """
    module = instance.module_or_not_checked().train()
    weights = [each for each in module.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.98))
    curve: list[float] = []
    known = 0
    started = time.monotonic()
    for step, rows in zip(range(steps), batches(instance, alphabet, generator(seed), longest), strict=False):
        if time.monotonic() - started > seconds:
            break
        source, before = asked(instance, alphabet, rows)
        ids = alphabet.side_by_side([[*said, *words, alphabet.end] for said, words in zip(before, rows, strict=True)])
        logits = read(instance, alphabet, source, ids)
        value = loss(logits, ids, ids != alphabet.pad)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        curve.append(float(value.detach()))
        known = known + 1 if loss_at_copies(logits, ids, alphabet) < LEARNT else 0
        if known == SURE:
            break
    return tuple(curve), known == SURE


def write(instance: Instance, alphabet: Alphabet, rows: list[list[int]]) -> list[list[int]]:
    """What the model writes, greedily, for texts of one length: as many ids as the copy and its end have."""
    source, before = asked(instance, alphabet, rows)
    ids = torch.tensor(before)
    with torch.no_grad():
        for _ in range(len(rows[0]) + 1):
            ids = torch.cat((ids, read(instance, alphabet, source, ids)[:, -1:].argmax(dim=-1)), dim=1)
    written: list[list[int]] = ids[:, len(before[0]) :].tolist()
    return written


def learn_to_copy(
    instance: Instance,
    *,
    loss: Loss = next_token_loss,
    steps: int = 1200,
    seconds: float = 60.0,
    seed: int = 0,
    longest: int = LONGEST,
) -> Learned:
    """Train a causal language model or an encoder-decoder to copy, and let it copy what it has never seen.

    The instance is changed: build one for this alone, with the subject's own first weights (``random_weights=False``). See
    ``cannot_learn`` for those that need not be asked.

    Args:
        loss: what is made small; another one shows what a mistake in a loss does.
        steps: at most; it stops early once the copies are known.
        seconds: at most; the result says if they were over.

    Raises:
        NotChecked: there is no module, and so nothing to train.
    """
    alphabet = Alphabet.of(instance.config.vocab, instance.config.pad_id)
    longest = min(longest, len(alphabet.words))
    with torch.enable_grad():
        curve, known = train(instance, alphabet, loss=loss, steps=steps, seconds=seconds, seed=seed, longest=longest)
    out_of_time = not known and len(curve) < steps
    instance.module_or_not_checked().eval()
    copied = collapsed = repeated = total = 0
    random = generator(seed + 1)
    for length in range(min(SHORTEST_UNSEEN, longest), longest + 1):
        drawn = texts(alphabet, random, unseen=True, shortest=length, longest=length)
        rows = [next(drawn) for _ in range(TESTED)]
        for words, written in zip(rows, write(instance, alphabet, rows), strict=True):
            total += 1
            copied += written == [*words, alphabet.end]
            collapsed += written[0] in {alphabet.end, alphabet.pad}
            repeated += set(written) == {alphabet.go}
    return Learned(curve, copied / total, collapsed / total, repeated / total, known, out_of_time)
