"""Generation, tested: texts that are known, because the model is a table."""

import torch

from veriformer.case import Case
from veriformer.outcome import Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer.toy_language import dice, greedy, ordinary, prompts, require_text
from veriformer.toy_tables import by_the_last_id, by_the_whole_text, counting_down, ending_at_once
from veriformer.writing import GREEDY, LONGEST, ONE_BEAM, greedily, language, write
from veriformer_spec import generation

VOCAB = 11


@checks(
    generation.GREEDY_TAKES_THE_LARGEST,
    sentence="dc2289ae",
    cases=cases(batch=(2, 3), q_len=(2, 5)),
)
def test_greedy_takes_the_largest(subject: Subject, case: Case) -> None:
    """No text ends here, and the last id says what follows: only the choice itself can be wrong."""
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_last_id(case.seed, may_end=False))
    given = prompts(case.batch, case.q_len, model.likely((model.pad_id,)), rolls)
    texts = write(subject, case, model, given, GREEDY, longest=LONGEST)
    for row, (prompt, got) in enumerate(zip(given, texts, strict=True)):
        expected = greedy(model, prompt, longest=LONGEST)
        require_text(got, expected, prompt, "not the ids with the largest logits", row=row)


@checks(
    generation.ROWS_STOP_AT_THEIR_OWN_END,
    sentence="27a8bc81",
    cases=cases(batch=(2, 4), q_len=(2, 4)),
)
def test_rows_stop_at_their_own_end_token(subject: Subject, case: Case) -> None:
    """Words count down to the end, one by one: the last word of a prompt says when its row ends. Some prompts begin with an end."""
    rolls = dice(case.seed)
    order: list[int] = []
    model = language(subject, VOCAB, rolls, counting_down(case.seed, order))
    words = ordinary(VOCAB, model.end_id, model.pad_id)
    order += [model.end_id, *rolls.sample(words, len(words))]
    begin = model.end_id if case.seed % 2 else order[-1]
    # one row goes on to the end of the count; the others stop after 1 to 5 ids, so never all at once
    counts = rolls.sample([len(order) - 1, *rolls.choices(range(1, 6), k=case.batch - 1)], case.batch)
    given = [(begin, *rolls.choices(order[1:], k=case.q_len - 2), order[count])[-case.q_len :] for count in counts]
    if len(set(counts)) == 1:
        raise Vacuous("every row ends at the same step")
    texts = write(subject, case, model, given, greedily(subject), longest=LONGEST)
    for row, (prompt, got) in enumerate(zip(given, texts, strict=True)):
        expected = greedy(model, prompt, longest=LONGEST)
        require_text(got, expected, prompt, "the row does not end where it produces the end token", row=row)


@checks(
    generation.LENGTHS_HOLD,
    sentence="c3616458",
    cases=cases(batch=(2, 3), q_len=(2, 5)),
)
def test_the_minimum_and_maximum_length_hold(subject: Subject, case: Case) -> None:
    """Texts that never end, and texts that would end at once: as long as they may be, and as short. Which ids they hold is not asked.

    Where the end token is likeliest at every step, a greedy text ends at the first where it may: as the last of ``min_new_tokens``, or
    after so many others. Of a beam, whose end may be put off, only the bounds are known.
    """
    rolls = dice(case.seed)
    longest = rolls.randint(4, LONGEST)
    shortest = rolls.choice((2, longest - 2, longest))
    said = f"min_new_tokens={shortest}, max_new_tokens={longest}"
    ways = [({"strategy": each, "beams": 2, "top_k": 1}, False) for each in subject.claims["strategies"]]
    for table, ends in ((by_the_last_id(case.seed, may_end=False), False), (ending_at_once(case.seed), True)):
        model = language(subject, VOCAB, rolls, table)
        given = prompts(case.batch, case.q_len, ordinary(VOCAB, model.end_id, model.pad_id), rolls)
        for how, greedy_text in [*ways, (greedily(subject), True)]:
            texts = write(subject, case, model, given, how, longest=longest, shortest=shortest)
            for row, text in enumerate(texts):
                most = min(shortest + 1, longest) if ends and greedy_text else longest
                least = shortest if model.end_id in text else longest
                if not least <= len(text) <= most:
                    wanted = "would end at once" if ends else "never ends"
                    raise Violation(
                        f"{how['strategy']}: row {row} has {len(text)} new ids, where its text {wanted}: {said}",
                        got=torch.tensor(text), index=(row,), margin=f"{least} to {most} ids are right",
                    )  # fmt: skip


@checks(
    generation.A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH,
    sentence="e70dc562",
    cases=cases(batch=(2, 4), q_len=(2, 4)),
)
def test_a_rows_text_does_not_depend_on_its_batch(subject: Subject, case: Case) -> None:
    """Each prompt alone, and all together: greedily, with a few beams, and with one candidate to sample from."""
    if "batch" in subject.declaration.sizes:
        raise Vacuous("the subject takes batches of one size only")
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_whole_text(case.seed, may_end=True))
    words = ordinary(VOCAB, model.end_id, model.pad_id)
    given = prompts(case.batch, case.q_len, words, rolls)
    ways = {
        "greedy": GREEDY,
        "beam": {"strategy": "beam", "beams": rolls.randint(2, 3)},
        "sample": {"strategy": "sample", "top_k": 1},
    }
    for strategy in subject.claims["strategies"]:
        together = write(subject, case, model, given, ways[strategy], longest=LONGEST)
        for row, prompt in enumerate(given):
            (alone,) = write(subject, case, model, [prompt], ways[strategy], longest=LONGEST)
            require_text(together[row], alone, prompt, f"{strategy}: in a batch not what it is alone", row=row)


@checks(
    generation.ONE_BEAM_IS_GREEDY,
    sentence="f47ba5fe",
    cases=cases(batch=(1, 3), q_len=(2, 4)),
)
def test_one_beam_is_greedy(subject: Subject, case: Case) -> None:
    """The largest logit, step by step, whether or not that text ends."""
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_last_id(case.seed, may_end=True))
    words = ordinary(VOCAB, model.end_id, model.pad_id)
    given = prompts(case.batch, case.q_len, words, rolls)
    texts = write(subject, case, model, given, ONE_BEAM, longest=LONGEST)
    for row, (prompt, got) in enumerate(zip(given, texts, strict=True)):
        expected = greedy(model, prompt, longest=LONGEST)
        require_text(got, expected, prompt, "one beam does not write the greedy text", row=row)


@checks(
    generation.THE_MODEL_IS_CALLED_RIGHT,
    sentence="9b8f5133",
    cases=cases(batch=(1, 3), q_len=(3, 6)),
)
def test_the_whole_text_is_read(subject: Subject, case: Case) -> None:
    """Every id of the text, new ones too, has a say in what follows."""
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_whole_text(case.seed, may_end=False))
    given = prompts(case.batch, case.q_len, model.likely((0,)), rolls)
    texts = write(subject, case, model, given, greedily(subject), longest=LONGEST)
    for row, (prompt, got) in enumerate(zip(given, texts, strict=True)):
        expected = greedy(model, prompt, longest=LONGEST)
        require_text(got, expected, prompt, "not what follows from the whole text", row=row)
