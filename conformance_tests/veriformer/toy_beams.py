"""Beam search in a toy language: by trying every text, and by every legal way of keeping a few.

What becomes of a beam that has ended is legal freedom. It may go on taking a place among the beams; it may be set aside, its place
going to the next best; or it may take its place with it, so that the search narrows. Ended texts may be preferred to those that were
cut off, or compete with them. The suite draws languages in which all of these return the same text, with something to spare.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from veriformer.toy_language import IMPOSSIBLE, STEP, Language, Table, Text, dice

_Found = TypeVar("_Found")

ATTEMPTS = 60
"""Prompts to look at for one that tells right from wrong."""
CLEAR = 0.02
"""Nats between what is kept and what is dropped: far above what rounding moves, in float32 too."""


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """The new ids of one text.

    Attributes:
        score: their total log-probability.
        sum_of_probabilities: the sum of their probabilities, which a mistaken search adds up.
    """

    new: Text
    score: float = 0.0
    sum_of_probabilities: float = 0.0

    def ended(self, language: Language) -> bool:
        """Whether it has written the end token."""
        return language.end_id in self.new


def longer(language: Language, prompt: Text, one: Hypothesis, *, likely: bool) -> list[Hypothesis]:
    """Every text that is one id longer; only by ids that may follow at all, where ``likely``."""
    logs = language.log_probabilities(prompt + one.new)
    ids = language.likely(prompt + one.new) if likely else range(language.vocab)
    return [
        Hypothesis((*one.new, each), one.score + logs[each], one.sum_of_probabilities + math.exp(logs[each]))
        for each in ids
    ]


def everything(language: Language, prompt: Text, longest: int) -> tuple[list[Hypothesis], int]:
    """Every text that may be written at all, and the beams that are enough to drop none of them on the way."""
    live, done, widest = [Hypothesis(())], [], 1
    for step in range(longest):
        found = [each for one in live for each in longer(language, prompt, one, likely=True)]
        done += [each for each in found if each.ended(language)]
        live = [each for each in found if not each.ended(language)]
        if step < longest - 1:
            widest = max(widest, len(live) + len(done))
    return live + done, widest


def clearly_best(found: Sequence[Hypothesis]) -> Hypothesis | None:
    """The text of the highest total log-probability, where it is clear which one that is."""
    first, *rest = sorted(found, key=lambda each: -each.score)
    return None if rest and first.score - rest[0].score < CLEAR else first


@dataclasses.dataclass
class Search:
    """One legal way of keeping the best.

    Attributes:
        ended_stay: an ended text takes a place among the beams for as long as it is good enough.
        narrows: an ended text takes its place with it; where neither, its place goes to the next best.
        clear: whether every choice so far was clear.
    """

    language: Language
    prompt: Text
    beams: int
    ended_stay: bool = False
    narrows: bool = False
    clear: bool = True

    def texts(self, longest: int) -> list[Hypothesis]:
        """The texts that are left after ``longest`` steps, ended ones among them."""
        live = [Hypothesis(())]
        done: list[Hypothesis] = []
        for _ in range(longest):
            found = [each for one in live for each in longer(self.language, self.prompt, one, likely=False)]
            width = self.beams - len(done) if self.narrows else self.beams
            if self.ended_stay:
                kept = self._best(done + found, width)
                done = []
            elif self.narrows:
                kept = self._best(found, width)
            else:
                ranked = self._best(found, width)
                kept = [each for each in ranked if each.ended(self.language)]
                kept += self._best([each for each in found if not each.ended(self.language)], width)
            done += [each for each in kept if each.ended(self.language)]
            live = [each for each in kept if not each.ended(self.language)]
            if not live:
                break
        return live + done

    def _best(self, found: list[Hypothesis], width: int) -> list[Hypothesis]:
        ordered = sorted(found, key=lambda each: -each.score)
        for last, next_one in zip(ordered[width - 1 : width], ordered[width : width + 1], strict=False):
            unlikely = last.score < IMPOSSIBLE / 2  # which of the impossible is kept does not matter
            self.clear &= unlikely or last.score - next_one.score > CLEAR
        return ordered[:width]


def narrow(language: Language, prompt: Text, beams: int, longest: int) -> Hypothesis | None:
    """What every legal search with ``beams`` beams returns; None where they differ, or a choice was not clear."""
    answers = []
    for ended_stay, narrows in ((True, False), (False, False), (False, True)):
        search = Search(language, prompt, beams, ended_stay, narrows)
        left = search.texts(longest)
        ended = [each for each in left if each.ended(language)]
        answers += [clearly_best(left), clearly_best(ended or left)]
        if not search.clear:
            return None
    first = answers[0]
    return first if all(each is not None and first is not None and each.new == first.new for each in answers) else None


def each_its_own_best(language: Language, prompt: Text, beams: int, longest: int) -> Text:
    """What a search returns in which every first id goes on by itself, greedily: the mistake of keeping one best for each beam."""
    live = sorted(longer(language, prompt, Hypothesis(()), likely=False), key=lambda each: -each.score)[:beams]
    for _ in range(longest - 1):
        live = [
            one
            if one.ended(language)
            else max(longer(language, prompt, one, likely=False), key=lambda each: each.score)
            for one in live
        ]
    return max(live, key=lambda each: each.score).new


@dataclasses.dataclass(frozen=True)
class Branches:
    """Makes a table in which few ids may follow each text, and which ones depends on all of it.

    Attributes:
        most: ids that may follow a text, at most, beside the end token.
        ends: how often the end token may follow, too.
    """

    seed: int
    most: int
    ends: float

    def __call__(self, vocab: int, end_id: int, words: Sequence[int]) -> Table:
        """The table over ``words`` and the end token."""

        def after(text: Text) -> list[float]:
            rolls = dice(self.seed, text)
            logits = [IMPOSSIBLE - STEP * each for each in range(vocab)]
            for chosen in rolls.sample(list(words), rolls.randint(max(1, self.most - 1), self.most)):
                logits[chosen] = rolls.uniform(-1.2, 1.2)
            logits[end_id] = rolls.uniform(-1.2, 1.2) if rolls.random() < self.ends else 100 * IMPOSSIBLE
            return logits

        return after


def telling(
    words: Sequence[int], length: int, rolls: random.Random, judged: Callable[[Text], _Found | None]
) -> tuple[Text, _Found] | None:
    """A prompt whose continuations tell right from wrong, and what ``judged`` found there; None where none turned up."""
    for _ in range(ATTEMPTS):
        prompt = tuple(rolls.choice(words) for _ in range(length))
        found = judged(prompt)
        if found is not None:
            return prompt, found
    return None
