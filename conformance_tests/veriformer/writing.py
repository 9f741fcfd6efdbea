"""Calling a generation: which strategy, how long, and what it wrote."""

import functools
from collections.abc import Mapping, Sequence
from random import Random

import torch

from veriformer import process_state
from veriformer.case import Case
from veriformer.subjects import Instance, Subject
from veriformer.toy_language import Language, Text, as_tensor, ordinary, written
from veriformer.toy_tables import TableMaker

LONGEST = 8
"""New ids at most: a prompt and they fit into the ``max_len`` of every case."""

GREEDY: Mapping[str, object] = {"strategy": "greedy"}
ONE_BEAM: Mapping[str, object] = {"strategy": "beam", "beams": 1}
ONE_CANDIDATE: Mapping[str, object] = {"strategy": "sample", "top_k": 1}


def greedily(subject: Subject) -> Mapping[str, object]:
    """How the subject is asked for its greedy text: one beam and one candidate are that, too."""
    known = subject.claims["strategies"]
    return GREEDY if "greedy" in known else ONE_BEAM if "beam" in known else ONE_CANDIDATE


def language(subject: Subject, vocab: int, rolls: Random, table: TableMaker) -> Language:
    """A language whose end and padding are any two of its ids."""
    end_id, pad_id = rolls.sample(range(vocab), 2)
    words = ordinary(vocab, end_id, pad_id)
    after = functools.cache(table(vocab, end_id, words))
    return Language(vocab, end_id, pad_id, after, subject.dtype, subject.device)


def built(subject: Subject, case: Case, model: Language) -> Instance:
    """The subject, told what the language calls padding."""
    return subject.instance(case, changes={"vocab": model.vocab, "pad_id": model.pad_id})


def write(
    subject: Subject,
    case: Case,
    model: Language,
    prompts: Sequence[Text],
    how: Mapping[str, object],
    *,
    longest: int,
    shortest: int = 0,
) -> list[Text]:
    """What the subject, built and seeded for ``case``, writes on from ``prompts``: see ``write_on``."""
    process_state.seed(case.seed)
    return write_on(built(subject, case, model), model, prompts, how, longest=longest, shortest=shortest)


def write_on(
    instance: Instance,
    model: Language,
    prompts: Sequence[Text],
    how: Mapping[str, object],
    *,
    longest: int,
    shortest: int = 0,
) -> list[Text]:
    """The new ids of each row, the end token among them.

    Args:
        how: the strategy, and what it is asked for beside its length.
        longest: max_new_tokens.
        shortest: min_new_tokens.
    """
    asked = {"beams": 1, "temperature": 1.0, "top_k": None, "top_p": None, **how}
    with torch.no_grad():
        output = instance.raw(
            model,
            as_tensor(prompts, instance.subject.device),
            max_new_tokens=longest,
            min_new_tokens=shortest,
            end_id=model.end_id,
            pad_id=model.pad_id,
            **asked,
        )
    return written(output, prompts, model)
