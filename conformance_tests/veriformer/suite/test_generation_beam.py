"""Beam search, tested: against a search of every text, and step by step by hand."""

from collections.abc import Callable

from veriformer.case import Case
from veriformer.outcome import Vacuous
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer.toy_beams import (
    Branches,
    Hypothesis,
    Search,
    clearly_best,
    each_its_own_best,
    everything,
    narrow,
    telling,
)  # fmt: skip
from veriformer.toy_language import Language, Text, dice, greedy, ordinary, require_text
from veriformer.writing import language, write
from veriformer_spec import generation

VOCAB = 29
"""More than twice the widest beam: a search that looks at twice as many ids as it has beams finds them at the first step."""
WIDEST = 10


@checks(
    generation.A_WIDE_BEAM_FINDS_THE_BEST,
    sentence="8dd0731a",
    cases=cases(batch=(1, 1), q_len=(2, 4)),
    most=15,
)
def test_a_beam_that_drops_nothing_finds_the_best(subject: Subject, case: Case) -> None:
    """Two or three ids may follow each text; as many beams as there are texts on the way; the best of all, not the greedy one.

    Texts that never end, or a best that has ended, half of the time behind others: whether ended texts are preferred to those cut off
    is legal freedom.
    """
    rolls = dice(case.seed)
    ends = 0.5 if case.seed % 4 else 0.0
    longest = 3
    model = language(subject, VOCAB, rolls, Branches(case.seed, most=3 - rolls.randint(0, 1), ends=ends))

    def best_of(prompt: Text) -> tuple[Hypothesis, int] | None:
        found, beams = everything(model, prompt, longest)
        best = clearly_best(found)
        if best is None or beams > WIDEST or (ends and not best.ended(model)):
            return None
        by_sums = max(found, key=lambda each: each.sum_of_probabilities)
        if best.new in (greedy(model, prompt, longest=longest), by_sums.new):
            return None
        waits = any(each.ended(model) and len(each.new) < len(best.new) for each in found)
        return (best, beams) if waits or case.seed % 8 < 4 else None

    require_best(subject, case, model, longest, best_of, "with {} beams, which drop nothing, not the likeliest text")


@checks(
    generation.BEAMS_FOLLOW_THEIR_PARENTS,
    sentence="46debdc7",
    cases=cases(batch=(1, 1), q_len=(2, 4)),
    most=15,
)
def test_beams_follow_their_parents(subject: Subject, case: Case) -> None:
    """Two or three beams among many texts; the same answer whatever becomes of beams that end, and not the greedy one."""
    rolls = dice(case.seed)
    ends = 0.4 if case.seed % 2 else 0.0
    longest, beams = rolls.randint(3, 5), rolls.randint(2, 3)
    model = language(subject, VOCAB, rolls, Branches(case.seed, most=4, ends=ends))

    def best_of(prompt: Text) -> tuple[Hypothesis, int] | None:
        best = narrow(model, prompt, beams, longest)
        if best is None or (ends and not best.ended(model)):
            return None
        mistaken = [greedy(model, prompt, longest=longest), each_its_own_best(model, prompt, beams, longest)]
        if case.seed % 4 < 2:  # and half of the time, not what a wider search returns
            wider = Search(model, prompt, 3 * beams).texts(longest)
            mistaken.append(max(wider, key=lambda each: each.score).new)
        return None if best.new in mistaken else (best, beams)

    require_best(subject, case, model, longest, best_of, "with {} beams, not what keeping the best at each step gives")


def require_best(
    subject: Subject,
    case: Case,
    model: Language,
    longest: int,
    best_of: Callable[[Text], tuple[Hypothesis, int] | None],
    message: str,
) -> None:
    """Fail unless each row is what ``best_of`` finds by hand, with the beams that it says."""
    words = ordinary(model.vocab, model.end_id, model.pad_id)
    rolls = dice(case.seed, "prompts")
    found = [telling(words, case.q_len, rolls, best_of) for _ in range(case.batch)]
    told = [each for each in found if each is not None]
    if len(told) < case.batch:
        raise Vacuous("no text of this language tells a right search from a wrong one")
    beams = max(width for _, (_, width) in told)
    how = {"strategy": "beam", "beams": beams}
    texts = write(subject, case, model, [prompt for prompt, _ in told], how, longest=longest)
    for row, (got, (prompt, (best, _))) in enumerate(zip(texts, told, strict=True)):
        require_text(got, best.new, prompt, message.format(beams), row=row)
