"""Correct generation, written in unusual ways."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.generation_styles import Loop, Pipeline, Plain
from veriformer_spec import generation

EVERYTHING = ("greedy", "beam", "sample")


@veriformer.subject("generation", strategies=("greedy", "sample"), module=None)
def loop(config):
    return Loop()


LOOP_OF_A_TUTORIAL = NearMiss(
    id="generation-in-one-loop",
    sentence="one loop, as in a small training repository: logits are filtered in place, and rows padded with torch.where",
    clauses=(
        generation.GREEDY_TAKES_THE_LARGEST, generation.ROWS_STOP_AT_THEIR_OWN_END, generation.TEMPERATURE_ZERO_IS_GREEDY,
        generation.TOP_K_KEEPS_EXACTLY_ITS_SET, generation.TOP_P_KEEPS_EXACTLY_ITS_SET,
    ),
    build=loop,
)  # fmt: skip


@veriformer.subject("generation", strategies=EVERYTHING, module=None)
def pipeline(config):
    return Pipeline()


LOGITS_PROCESSORS = NearMiss(
    id="generation-by-logits-processors",
    sentence="a library's pipeline: top-p from the unlikely end, beams flattened into the batch, ended beams in a heap of their own",
    clauses=(
        generation.LENGTHS_HOLD, generation.ONE_BEAM_IS_GREEDY, generation.A_WIDE_BEAM_FINDS_THE_BEST,
        generation.BEAMS_FOLLOW_THEIR_PARENTS, generation.A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH,
        generation.TOP_P_KEEPS_EXACTLY_ITS_SET,
    ),
    build=pipeline,
)  # fmt: skip


@veriformer.subject("generation", strategies=EVERYTHING, module=None)
def plain(config):
    return Plain()


LISTS_AND_GUMBEL_NOISE = NearMiss(
    id="generation-by-lists-and-gumbel-noise",
    sentence="row by row in lists: Gumbel noise and the largest, beams that take their place with them, ended texts preferred, as wide as can be",
    clauses=(
        generation.THE_MODEL_IS_CALLED_RIGHT, generation.TEMPERATURE_ZERO_IS_GREEDY, generation.A_WIDE_BEAM_FINDS_THE_BEST,
        generation.BEAMS_FOLLOW_THEIR_PARENTS, generation.LENGTHS_HOLD,
    ),
    build=plain,
)  # fmt: skip


class Incremental(Loop):
    """Remembers what the model said for texts it has seen, and asks it about new texts only, as a prefix cache does."""

    def __call__(self, model, prompt, **asked):
        seen = {}

        def cached(ids):
            rows = []
            for row in ids:
                key = tuple(row.tolist())
                if key not in seen:
                    seen[key] = model(row[None])[0]
                rows.append(seen[key])
            return torch.stack(rows)

        return super().__call__(cached, prompt.to(torch.int32), **asked).long()


@veriformer.subject("generation", strategies=("greedy", "sample"), module=None)
def incremental(config):
    return Incremental()


CACHED_GENERATION = NearMiss(
    id="generation-with-a-cache-of-texts",
    sentence="the model is asked about each text once, in rows of one and in 32-bit ids",
    clauses=(generation.THE_MODEL_IS_CALLED_RIGHT, generation.A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH),
    build=incremental,
)


class HalfSure(Pipeline):
    """Everything in float32, with a generator of its own."""

    def __init__(self):
        self.dice = torch.Generator().manual_seed(11)

    def scores_of(self, model, ids):
        return super().scores_of(model, ids).float()

    def search(self, model, ids, sample):
        if not sample:
            return super().search(model, ids, sample)
        live = torch.ones(len(ids), 1, dtype=torch.bool)
        for _ in range(self.max_new_tokens):
            scores = self.min_length(ids, self.scores_of(model, ids))
            for warp in self.warpers():
                scores = warp(ids, scores)
            tokens = torch.multinomial(scores.softmax(-1), 1, generator=self.dice)
            ids = torch.cat((ids, tokens.masked_fill(~live, self.pad_id)), 1)
            live = live & (tokens != self.end_id)
        return ids


@veriformer.subject("generation", strategies=EVERYTHING, module=None)
def in_float32(config):
    return HalfSure()


GENERATION_IN_FLOAT32 = NearMiss(
    id="generation-in-float32",
    sentence="logits are rounded to float32, numbers come from a generator of the subject's own, and the loop never stops early",
    clauses=(
        generation.BEAMS_FOLLOW_THEIR_PARENTS,
        generation.TEMPERATURE_ZERO_IS_GREEDY,
        generation.ROWS_STOP_AT_THEIR_OWN_END,
    ),
    build=in_float32,
)


class NeverZero(Loop):
    def heated(self, logits, temperature):
        return logits / temperature

    def __call__(self, model, prompt, *, strategy, temperature, **asked):
        if strategy == "sample" and temperature == 0:
            raise veriformer.Unsupported("temperature must be positive: ask for greedy instead")
        return super().__call__(model, prompt, strategy=strategy, temperature=temperature, **asked)


@veriformer.subject("generation", strategies=("sample",), module=None)
def refuses_zero(config):
    return NeverZero()


TEMPERATURE_ZERO_REFUSED = NearMiss(
    id="temperature-zero-refused",
    sentence="samples only, and says that it does not divide by a temperature of zero",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY, generation.LENGTHS_HOLD),
    build=refuses_zero,
)


class DividesInPython(Plain):
    """No case for zero: Python refuses to divide by it, and says so."""

    def pick(self, logits, asked):
        if asked["strategy"] == "sample":
            logits = [each / asked["temperature"] for each in logits]
        return super().pick(logits, {**asked, "temperature": 1.0})


@veriformer.subject("generation", strategies=EVERYTHING, module=None)
def divides_in_python(config):
    return DividesInPython()


PYTHON_REFUSES_ZERO = NearMiss(
    id="python-refuses-to-divide-by-zero",
    sentence="logits are divided one by one, and a temperature of zero is Python's own ZeroDivisionError",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    build=divides_in_python,
)


class OwnError(Exception):
    pass


class NamesWhatItRefuses(Loop):
    def heated(self, logits, temperature):
        return logits / temperature

    def __call__(self, model, prompt, *, strategy, temperature, **asked):
        if strategy == "sample" and not temperature > 0:
            raise OwnError(f"cannot sample at temperature={temperature}")
        return super().__call__(model, prompt, strategy=strategy, temperature=temperature, **asked)


@veriformer.subject("generation", strategies=("greedy", "sample"), module=None)
def names_what_it_refuses(config):
    return NamesWhatItRefuses()


ZERO_REFUSED_BY_AN_ERROR_OF_ITS_OWN = NearMiss(
    id="temperature-zero-refused-by-an-error-of-its-own",
    sentence="a temperature of zero is an error of a class of the subject's own, which names it",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    build=names_what_it_refuses,
)


class OthersBeforeTheEnd(Pipeline):
    """A minimum that counts the ids before the end token, and a temperature of zero refused in the usual words."""

    def __call__(self, model, prompt, *, strategy, **asked):
        if strategy == "sample" and asked["temperature"] == 0:
            raise ValueError("`temperature` has to be a strictly positive float")
        return super().__call__(model, prompt, strategy=strategy, **asked)

    def min_length(self, ids, scores):
        if ids.shape[1] - self.start < self.min_new_tokens:
            scores = scores.index_fill(-1, torch.tensor([self.end_id]), float("-inf"))
        return scores


@veriformer.subject("generation", strategies=EVERYTHING, module=None)
def others_before_the_end(config):
    return OthersBeforeTheEnd()


MINIMUM_WITHOUT_THE_END = NearMiss(
    id="minimum-counts-the-ids-before-the-end",
    sentence="so many ids stand before the end token, as a known library counts them, and a temperature of zero is a ValueError",
    clauses=(generation.LENGTHS_HOLD, generation.TEMPERATURE_ZERO_IS_GREEDY),
    build=others_before_the_end,
)
