"""Faults in beam search, in code that is not the reference's."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F

from veriformer.faults.fault import Fault
from veriformer.faults.generation_styles import Pipeline, Plain, writer
from veriformer_spec import generation


class SecondForOne(Pipeline):
    """Takes the second best at the first step, as a search with several different beams does for its last."""

    def beam_search(self, model, prompt):
        tokens = self.scores_of(model, prompt).topk(self.beams + 1, -1).indices[:, -1:]
        start, self.max_new_tokens = prompt, self.max_new_tokens - 1
        rest = super().beam_search(model, torch.cat((start, tokens), 1))
        return rest


class EndAnywhere(Pipeline):
    """An end token counts wherever it ranks among twice the beams."""

    def beam_search(self, model, prompt):
        out = []
        for row in prompt:
            live, done = [(row, 0.0)], []
            for _ in range(self.max_new_tokens):
                found = []
                for ids, score in live:
                    logs = self.scores_of(model, ids[None])[0].log_softmax(-1)
                    done.append((torch.cat((ids, torch.tensor([self.end_id]))), score + float(logs[self.end_id])))
                    for value, token in zip(*logs.topk(self.beams + 1), strict=True):
                        if int(token) != self.end_id:
                            found.append((torch.cat((ids, token[None])), score + float(value)))
                live = sorted(found, key=lambda each: -each[1])[: self.beams]
            out.append(max(done + live, key=lambda each: each[1])[0])
        longest = max(map(len, out))
        return torch.stack([F.pad(each, (0, longest - len(each)), value=self.pad_id) for each in out])


ONE_BEAM_IS_SOMETHING_ELSE = Fault(
    id="one-beam-is-something-else",
    sentence="with one beam the end token competes with whatever may follow a word that beats it, or the first step takes another word",
    clauses=(generation.ONE_BEAM_IS_GREEDY,),
    source="experience",
    written="finished += [(score + log_p[end_id], text) for text in beams]  # at every step, whatever its rank",
    mend="an end token counts where it is among the best of the beam",
    builds=(writer(SecondForOne, "beam"), writer(EndAnywhere, "beam")),
)


class ByLength(Plain):
    """Divides the score by the length, without a word."""

    def chosen(self, done, live):
        return max(done or live, key=lambda each: each[1] / len(each[0]))[0]


class ByProbabilities(Plain):
    def score(self, before, log):
        return before + math.exp(log)


class FirstToEnd(Pipeline):
    """Stops at the first text that ends."""

    early_stopping = True

    def is_done(self, heap, best_live):
        return len(heap) > 0


class EndedForgotten(Plain):
    def chosen(self, done, live):
        return max(live or done, key=lambda each: each[1])[0]


SEARCH_NOT_FOR_THE_LIKELIEST = Fault(
    id="search-not-for-the-likeliest",
    sentence="scores are divided by length or are sums of probabilities; or the first text that ends, or one that has not, is returned",
    clauses=(generation.A_WIDE_BEAM_FINDS_THE_BEST,),
    source="experience",
    written="score / len(text)",
    mend="score = sum of log-probabilities; a length penalty is an option of its own, and off",
    builds=(
        writer(ByLength, "beam"),
        writer(ByProbabilities, "greedy", "beam"),
        writer(FirstToEnd, "beam"),
        writer(EndedForgotten, "beam"),
    ),
)


class EqualBeams(Pipeline):
    """Every beam starts with the same score, so that the first step keeps one continuation as often as there are beams."""

    def first_scores(self, batch, n):
        return torch.zeros(batch, n)


class TextsNotReordered(Pipeline):
    def reordered(self, ids, parents, tokens):
        return torch.cat([ids, tokens[:, None]], dim=-1)


class ScoreOfTheStepAlone(Plain):
    def score(self, before, log):
        return log


BEAMS_WITHOUT_PARENTS = Fault(
    id="beams-without-parents",
    sentence="all beams start alike, or the new ids are written behind beams that they do not follow, or what a beam has cost is forgotten",
    clauses=(generation.BEAMS_FOLLOW_THEIR_PARENTS,),
    source="experience",
    written="scores = torch.zeros(batch, beams)",
    mend="scores[:, 1:] = -inf before the first step; ids = ids[parents]",
    builds=(
        writer(EqualBeams, "beam"),
        writer(TextsNotReordered, "greedy", "beam"),
        writer(ScoreOfTheStepAlone, "beam"),
    ),
)
