"""Sampling, tested: which ids come at all, and how often.

Every count is compared with its probability by ``chances.require_likely``, which bounds what a whole run may call wrong by accident
at 1e-9. Ids that may not come at all fail at their first appearance, which no accident explains. Numbers are seeded from the case.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from veriformer import chances, process_state
from veriformer.case import Case
from veriformer.errors import Unsupported
from veriformer.outcome import SubjectError, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Subject
from veriformer.toy_language import Language, Text, dice, greedy, ordinary, prompts, require_text
from veriformer.toy_tables import KINDS, RATIO, by_the_last_id, by_the_prompt
from veriformer.writing import LONGEST, built, language, write, write_on
from veriformer_spec import generation

VOCAB = 11
DRAWS = 1024
"""Draws for each prompt: an id of probability 0.05 that never comes is 18 nats beyond an accident, and one of 0.1 in place of 0.15, 11."""


def counted(
    subject: Subject,
    case: Case,
    model: Language,
    given: Sequence[Text],
    how: Mapping[str, object],
    *,
    waits: int = 0,
) -> list[Counter[int]]:
    """How often each id was drawn after each prompt, in one call where the subject takes a batch of any size."""
    fixed = subject.declaration.sizes.get("batch")
    rows = [*itertools.islice(itertools.cycle(given), fixed or len(given) * DRAWS)]
    counts: list[Counter[int]] = [Counter() for _ in given]
    instance = built(subject, case, model)
    process_state.seed(case.seed)
    for _ in range(-(-len(given) * DRAWS // len(rows))):
        texts = write_on(instance, model, rows, {"strategy": "sample", **how}, longest=waits + 1)
        for row, text in zip(rows, texts, strict=True):
            if len(text) <= waits:
                raise Violation(f"sampling stopped after {list(text)}, before anything could be drawn")
            counts[given.index(row)][text[waits]] += 1
    return counts


def require_distribution(count: Counter[int], expected: Mapping[int, float], message: str) -> None:
    """Fail if an id came that may not, or one came too seldom or too often."""
    draws = count.total()
    for strange in sorted(set(count) - set(expected)):
        raise Violation(
            f"{message}: id {strange} was drawn {count[strange]} times, and is not one of {sorted(expected)}"
        )
    for each, probability in expected.items():
        chances.require_likely(count[each], draws, probability, f"{message}: id {each} out of {sorted(expected)}")


def proportional(weights: Mapping[int, float]) -> dict[int, float]:
    """The same weights, summing to one."""
    total = math.fsum(weights.values())
    return {each: weight / total for each, weight in weights.items()}


def likeliest_first(model: Language, text: Text) -> dict[int, float]:
    """The ids that may follow, with their probabilities."""
    logs = model.log_probabilities(text)
    likely = sorted(model.likely(text), key=lambda each: -logs[each])
    return proportional({each: math.exp(logs[each]) for each in likely})


def different_prompts(case: Case, model: Language) -> list[Text]:
    """Two prompts."""
    words = ordinary(model.vocab, model.end_id, model.pad_id)
    return prompts(2, case.q_len, words, dice(case.seed, "prompts"))


@checks(
    generation.TEMPERATURE_ZERO_IS_GREEDY,
    sentence="7ce4747f",
    cases=cases(batch=(2, 2), q_len=(2, 4)),
    most=8,
)
def test_temperature_divides_the_logits(subject: Subject, case: Case) -> None:
    """Counts at a low and at a high temperature, at the first new id or at the second; two calls that differ; and greedy near zero."""
    rolls = dice(case.seed)
    waits = rolls.randint(0, 1)
    model = language(subject, VOCAB, rolls, by_the_prompt(case.seed, case.q_len, waits=waits))
    given = different_prompts(case, model)
    for temperature in (rolls.uniform(0.35, 0.5), rolls.uniform(2.0, 3.0)):
        message = f"at temperature {temperature:.2f}"
        counts = counted(subject, case, model, given, {"temperature": temperature}, waits=waits)
        for prompt, count in zip(given, counts, strict=True):
            text = prompt + greedy(model, prompt, longest=waits)
            likely = likeliest_first(model, text)
            cooled = proportional({each: math.exp(math.log(one) / temperature) for each, one in likely.items()})
            require_distribution(count, cooled, message)
    instance = built(subject, case, model)
    rows = given * (64 if "batch" not in subject.declaration.sizes else 1)
    how = {"strategy": "sample", "temperature": 2.0}
    calls = [write_on(instance, model, rows, how, longest=waits + 1) for _ in range(64 // len(rows) + 2)]
    if all(
        each == calls[0] for each in calls
    ):  # 64 draws and more, each the same as one before with a probability below 0.3
        raise Violation(f"{len(calls)} calls draw the same ids, in {len(rows)} rows each: is a seed set in every call?")


REFUSALS = (ValueError, AssertionError, NotImplementedError, ZeroDivisionError)
"""What is raised by code that has seen what it cannot do; ``veriformer.Unsupported`` is one, too."""
SLIPS = (NameError, AttributeError, LookupError)
"""What Python raises of code that is wrong, whatever its words name."""


def refuses(raised: BaseException | None) -> bool:
    """Whether an exception at temperature 0 refuses it: by its class, or because it names the temperature."""
    named = re.search(r"\btemp(erature)?\b", str(raised).lower()) is not None
    return isinstance(raised, REFUSALS) or (named and isinstance(raised, Exception) and not isinstance(raised, SLIPS))


@checks(
    generation.TEMPERATURE_ZERO_IS_GREEDY,
    sentence="7ce4747f",
    cases=cases(batch=(2, 2), q_len=(2, 4)),
    most=8,
)
def test_temperature_zero_is_greedy(subject: Subject, case: Case) -> None:
    """At 0, and at a thousandth: neighbouring logits are so far apart that anything else has a probability below e^-100. 0 may be refused."""
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_last_id(case.seed, may_end=False))
    given = different_prompts(case, model)
    for temperature in (0.001, 0.0):
        how = {"strategy": "sample", "temperature": temperature}
        try:
            texts = write(subject, case, model, given, how, longest=LONGEST)
        except Unsupported:
            if temperature > 0:
                raise
            continue
        except SubjectError as error:
            if temperature > 0:
                raise
            if not refuses(error.__cause__):
                raise Violation(
                    f"at temperature 0 neither the greedy text nor a refusal, but a crash: the {error}"
                ) from error
            continue  # what it may not do is write something else
        for row, (prompt, got) in enumerate(zip(given, texts, strict=True)):
            expected = greedy(model, prompt, longest=LONGEST)
            require_text(got, expected, prompt, f"at temperature {temperature:g} not the greedy text", row=row)


@checks(
    generation.TOP_K_KEEPS_EXACTLY_ITS_SET,
    sentence="34be42d8",
    cases=cases(batch=(2, 2), q_len=(2, 4)),
    most=8,
)
def test_top_k_keeps_exactly_its_set(subject: Subject, case: Case) -> None:
    """Two numbers out of 1 to 5, with two prompts in one batch whose likeliest ids differ, and whose logits lie at other heights."""
    _require_sets(subject, case, [_likeliest(k) for k in dice(case.seed, "k").sample(range(1, 6), 2)])


@checks(
    generation.TOP_P_KEEPS_EXACTLY_ITS_SET,
    sentence="0aaedfb2",
    cases=cases(batch=(2, 2), q_len=(2, 4)),
    most=8,
)
def test_top_p_keeps_exactly_its_set(subject: Subject, case: Case) -> None:
    """A share that is crossed in the middle of an id, so that no rounding decides whether it is in; once by the likeliest id alone."""
    ranks = [0, dice(case.seed, "p").randint(1, 4)]
    _require_sets(subject, case, [_nucleus(rank, dice(case.seed, "p", rank).uniform(0.3, 0.7)) for rank in ranks])


Kept = Callable[[Mapping[int, float]], dict[int, float]]
Way = tuple[Mapping[str, object], Kept, str]
"""How to ask, which ids are left of those that may follow, and how to say it."""


def _likeliest(k: int) -> Way:
    """The ``k`` likeliest ids."""
    return {"top_k": k}, lambda likely: dict(itertools.islice(likely.items(), k)), f"top_k={k}"


def _nucleus(rank: int, inside: float) -> Way:
    """The share that the id of this rank crosses; probabilities are the same after every prompt, and only the ids differ."""
    probabilities = list(proportional({each: RATIO**-each for each in range(KINDS)}).values())
    share = math.fsum(probabilities[:rank]) + inside * probabilities[rank]
    return {"top_p": share}, lambda likely: dict(itertools.islice(likely.items(), rank + 1)), f"top_p={share:.3f}"


def _require_sets(subject: Subject, case: Case, ways: Sequence[Way]) -> None:
    """Fail unless what is drawn is exactly what is kept, in proportion."""
    rolls = dice(case.seed)
    model = language(subject, VOCAB, rolls, by_the_prompt(case.seed, case.q_len))
    given = different_prompts(case, model)
    for how, kept, said in ways:
        for prompt, count in zip(given, counted(subject, case, model, given, how), strict=True):
            require_distribution(count, proportional(kept(likeliest_first(model, prompt))), f"with {said}")
