"""A language that fits on a page: tables in place of a model, so that every text is known without one.

The next id's logits are a pure function of the text so far, drawn from a seed. Nothing is learned and nothing has weights, so what
a generation must write can be found here by trying, and depends on no code that is judged.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from veriformer.outcome import Violation

Text = tuple[int, ...]
"""Ids, the prompt first."""
Table = Callable[[Text], Sequence[float]]
"""The logits of the next id after a text."""

STEP = 0.5
"""How far apart neighbouring logits are drawn; a third of it is jitter, so that no two sums of logits tie."""
IMPOSSIBLE = -1e4
"""The logit of an id that nobody would choose. Finite, because an infinite one may be refused; padding always has it."""
NEVER = 2 * IMPOSSIBLE
"""The logit of an end token that must not come: below whatever else is impossible, so that no beam is filled up with it."""


@dataclasses.dataclass(frozen=True)
class Language:
    """What to call as a model, and what its texts mean.

    Attributes:
        after: the logits that follow a text.
    """

    vocab: int
    end_id: int
    pad_id: int
    after: Table
    dtype: torch.dtype
    device: torch.device

    def __call__(self, ids: Tensor) -> Tensor:
        """The logits at each position, as any causal model gives them: ``batch time`` to ``batch time vocab``."""
        if ids.dim() != 2 or ids.is_floating_point():
            raise TypeError("the model takes a tensor of ids, batch time")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocab:
            raise IndexError(f"the model knows the ids 0 to {self.vocab - 1}, and was given {ids.tolist()}")
        rows: list[list[Sequence[float]]] = []
        known: dict[Text, list[Sequence[float]]] = {}
        for row in ids.tolist():
            text = tuple(row)
            if text not in known:
                known[text] = [self.after(text[: length + 1]) for length in range(len(text))]
            rows.append(known[text])
        return torch.tensor(rows, dtype=self.dtype, device=self.device).reshape(*ids.shape, self.vocab)

    def log_probabilities(self, text: Text) -> list[float]:
        """The logarithms of the probabilities of each id after ``text``."""
        logits = self.after(text)
        top = max(logits)
        total = top + math.log(math.fsum(math.exp(logit - top) for logit in logits))
        return [logit - total for logit in logits]

    def likely(self, text: Text) -> list[int]:
        """The ids that may follow ``text`` at all."""
        return [each for each, logit in enumerate(self.after(text)) if logit > IMPOSSIBLE / 2]


def dice(*what: object) -> random.Random:
    """Random numbers that depend on ``what`` and on nothing else; seeding by a string is the same everywhere."""
    return random.Random(repr(what))


def ordinary(vocab: int, end_id: int, pad_id: int) -> list[int]:
    """The ids that are words."""
    return [each for each in range(vocab) if each not in (end_id, pad_id)]


def ranked(ids: Sequence[int], vocab: int, rolls: random.Random) -> list[float]:
    """Logits for ``ids`` in random order, well apart from each other; every other id is impossible, each a little differently."""
    logits = [IMPOSSIBLE - STEP * each for each in range(vocab)]
    for rank, chosen in enumerate(rolls.sample(list(ids), len(ids))):
        logits[chosen] = STEP * (rank - len(ids) / 2 + rolls.random() / 3)
    return logits


def greedy(language: Language, prompt: Text, *, longest: int, shortest: int = 0) -> Text:
    """The new ids that taking the largest logit writes, the end token among them; no end before ``shortest``."""
    new: Text = ()
    while len(new) < longest and language.end_id not in new:
        logits = language.after(prompt + new)
        allowed = [each for each in range(language.vocab) if each != language.end_id or len(new) + 1 >= shortest]
        new += (max(allowed, key=logits.__getitem__),)
    return new


def prompts(count: int, length: int, language_ids: Sequence[int], rolls: random.Random) -> list[Text]:
    """Prompts of one length, different ones as long as there are any."""
    found: list[Text] = []
    for attempt in range(100 * count):
        drawn = tuple(rolls.choice(language_ids) for _ in range(length))
        if len(found) < count and (drawn not in found or attempt >= 99 * count):
            found.append(drawn)
    return found


def as_tensor(texts: Sequence[Text], device: torch.device) -> Tensor:
    """Texts of one length as the rows of a tensor."""
    return torch.tensor(texts, dtype=torch.long, device=device)


def written(output: object, given: Sequence[Text], language: Language) -> list[Text]:
    """The new ids of each row up to its end token, or up to padding.

    Trailing padding means nothing: a tensor may be as wide as its longest row, or wider than a row could get.

    Raises:
        Violation: no tensor of ids, a prompt that did not come back, or anything but padding after the end.
    """
    if not isinstance(output, Tensor) or output.dim() != 2 or output.is_floating_point():
        said = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise Violation(f"generation returned {said}, where ids are promised: batch time")
    rows = output.detach().cpu().tolist()
    if len(rows) != len(given):
        raise Violation(f"{len(rows)} rows came back for {len(given)} prompts")
    texts = []
    for row, (whole, prompt) in enumerate(zip(rows, given, strict=True)):
        if tuple(whole[: len(prompt)]) != prompt:
            raise Violation(
                f"row {row} does not begin with its prompt",
                expected=torch.tensor(prompt), got=torch.tensor(whole[: len(prompt)]), index=(row,),
            )  # fmt: skip
        new = tuple(whole[len(prompt) :])
        if language.end_id in new:
            length = new.index(language.end_id) + 1
            kept, rest = new[:length], new[length:]
            if any(each != language.pad_id for each in rest):
                raise Violation(
                    f"row {row} holds more than padding after its end token",
                    expected=torch.tensor([language.pad_id] * len(rest)), got=torch.tensor(rest), index=(row,),
                )  # fmt: skip
        else:
            kept = new
            while kept and kept[-1] == language.pad_id:  # which no language here ever chooses
                kept = kept[:-1]
        texts.append(kept)
    return texts


def require_text(got: Text, expected: Text, prompt: Text, message: str, *, row: int) -> None:
    """Fail unless the new ids are those expected."""
    if got != expected:
        raise Violation(
            f"{message}: after {list(prompt)}", expected=torch.tensor(expected), got=torch.tensor(got), index=(row,)
        )
