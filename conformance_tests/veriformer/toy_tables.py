"""Tables of logits: what a toy language's next id may depend on, and how likely it is to end."""

import math
from collections.abc import Callable, Sequence

from veriformer.toy_language import IMPOSSIBLE, NEVER, STEP, Table, Text, dice, ranked

TableMaker = Callable[[int, int, Sequence[int]], Table]
"""Takes the size of the vocabulary, the end token and the words; makes the table of logits."""

RATIO = 1.35
"""Where ids are drawn at random, each is so many times as likely as the next: none ties, and all are likely enough to be seen."""
KINDS = 7
"""Ids that may be drawn."""


def never(end_id: int, logits: list[float], *, unless: bool = False) -> list[float]:
    """The same logits, with the end token least likely of all."""
    if not unless:
        logits[end_id] = NEVER
    return logits


def by_the_last_id(seed: int, *, may_end: bool) -> TableMaker:
    """What follows depends on the last id alone: whoever reads no more of the text than that still writes the right one."""

    def table(vocab: int, end_id: int, words: Sequence[int]) -> Table:
        ids = [*words, end_id] if may_end else words
        return lambda text: never(end_id, ranked(ids, vocab, dice(seed, text[-1])), unless=may_end)

    return table


def by_the_whole_text(seed: int, *, may_end: bool) -> TableMaker:
    """What follows depends on every id of the text, and on their order."""

    def table(vocab: int, end_id: int, words: Sequence[int]) -> Table:
        ids = [*words, end_id] if may_end else words
        return lambda text: never(end_id, ranked(ids, vocab, dice(seed, text)), unless=may_end)

    return table


def ending_at_once(seed: int) -> TableMaker:
    """The end token is the likeliest after any text."""

    def table(vocab: int, end_id: int, words: Sequence[int]) -> Table:
        def after(text: Text) -> list[float]:
            logits = ranked(words, vocab, dice(seed, text[-1]))
            logits[end_id] = STEP * vocab
            return logits

        return after

    return table


def counting_down(seed: int, order: Sequence[int]) -> TableMaker:
    """What follows ``order[n]`` is ``order[n - 1]``, down to the end token at 0; after anything else, the last of ``order``."""

    def table(vocab: int, end_id: int, words: Sequence[int]) -> Table:
        def after(text: Text) -> list[float]:
            place = order.index(text[-1]) if text[-1] in order else 0
            logits = never(end_id, ranked(words, vocab, dice(seed, text[-1])))
            logits[order[place - 1]] = STEP * vocab
            return logits

        return after

    return table


def by_the_prompt(seed: int, length: int, *, waits: int = 0) -> TableMaker:
    """Seven ids may follow a prompt, the end token among them, in an order of the prompt's own.

    Args:
        length: of the prompts.
        waits: new ids that are certain before something is drawn.
    """

    def table(vocab: int, end_id: int, words: Sequence[int]) -> Table:
        def after(text: Text) -> list[float]:
            rolls = dice(seed, text[:length])
            logits = [IMPOSSIBLE - STEP * each for each in range(vocab)]
            logits[end_id] = NEVER
            raised = rolls.uniform(-20, 20)  # adding the same to every logit changes nothing
            drawn = rolls.sample([*words, end_id], KINDS)
            certain = rolls.choice(words)
            if len(text) < length + waits:
                logits[certain] = raised
                return logits
            for rank, chosen in enumerate(drawn):
                logits[chosen] = raised - rank * math.log(RATIO)
            return logits

        return after

    return table
