"""Words: a sentence as tokens and ids, in the simplest way there is, said aloud."""

import dataclasses
import unicodedata
from collections.abc import Sequence

from veriformer.errors import UsageError

PAD, BEGIN = "<pad>", "<s>"
SPECIAL = (PAD, BEGIN)
MOST = 48
"""Tokens beyond which no picture of who looks at whom can be read."""
_LANGUAGES = {
    "ARABIC": "ar",
    "HEBREW": "he",
    "CYRILLIC": "",
    "GREEK": "el",
    "HIRAGANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
}


@dataclasses.dataclass(frozen=True)
class Words:
    """A sentence, and its tokens in order of their indices, whichever way they are read.

    Attributes:
        vocabulary: every word there is: the special ones, then the sentence's own, each once.
        by: ``words`` or ``characters``.
    """

    text: str
    tokens: tuple[str, ...]
    vocabulary: tuple[str, ...]
    by: str

    @property
    def ids(self) -> tuple[int, ...]:
        """The place of each token in the vocabulary."""
        return tuple(self.vocabulary.index(each) for each in self.tokens)

    @property
    def right_to_left(self) -> bool:
        """Whether it is read from right to left, as most of its letters are."""
        ways = [unicodedata.bidirectional(each) for each in self.text]
        return sum(way in ("R", "AL") for way in ways) > sum(way == "L" for way in ways)

    @property
    def language(self) -> str:
        """The code of its language, where the script alone says it; empty means unknown."""
        names = [unicodedata.name(each, "").partition(" ")[0] for each in self.text if each.isalpha()]
        most = max(set(names), key=names.count, default="")
        return _LANGUAGES.get(most, "")

    @property
    def said(self) -> str:
        """How the ids were made."""
        return (
            f"Tokens are {self.by}{', split at blanks' if self.by == 'words' else ''}; the vocabulary is {len(SPECIAL)} special words "
            f"({', '.join(SPECIAL)}) and the sentence's own {len(self.vocabulary) - len(SPECIAL)}, in the order in which they are met. "
            "No trained tokenizer is at work."
        )


def split(text: str, *, by: str = "") -> Words:
    """The tokens of a sentence: its words, or where it has only one, its characters.

    Args:
        by: ``words`` or ``characters``; empty lets the sentence decide.

    Raises:
        UsageError: there is nothing to read, or too much to look at.
    """
    words = text.split()
    if not words:
        raise UsageError("the sentence is empty: there is nothing to trace")
    by = by or ("words" if len(words) > 1 else "characters")
    tokens = tuple(words) if by == "words" else tuple(_characters(text))
    if len(tokens) > MOST:
        raise UsageError(f"the sentence has {len(tokens)} {by}: at most {MOST} can be looked at; give a shorter one")
    return Words(text, tokens, (*SPECIAL, *dict.fromkeys(tokens)), by)


def _characters(text: str) -> Sequence[str]:
    """Characters, each with the marks that are written over or under it; blanks are left out."""
    found: list[str] = []
    for each in text:
        if unicodedata.combining(each) and found:
            found[-1] += each
        elif not each.isspace():
            found.append(each)
    return found
