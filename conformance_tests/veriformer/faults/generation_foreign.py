"""Faults in generation, in code that is not the reference's: loops, pipelines and lists."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch

from veriformer.faults.fault import Fault
from veriformer.faults.generation_styles import Loop, Pipeline, Plain, writer
from veriformer_spec import generation

EVERYTHING = ("greedy", "beam", "sample")


class OverTheBatch(Loop):
    def last(self, logits):
        return logits[-1].clone().expand(len(logits), -1, -1)[:, -1].clone()


class OverTheTime(Plain):
    def after(self, model, text):
        return model(torch.tensor([text]))[0].amax(0).tolist()


LARGEST_OF_ANOTHER_ROW_OR_POSITION = Fault(
    id="largest-of-another-row-or-position",
    sentence="the largest logit is looked for in the last row of the batch, or over all positions",
    clauses=(generation.GREEDY_TAKES_THE_LARGEST,),
    source="experience",
    written="logits[-1].argmax()  # batch and time exchanged",
    mend="logits[:, -1].argmax(-1)",
    builds=(writer(OverTheBatch, "greedy", "sample"), writer(OverTheTime, *EVERYTHING)),
)


class PaddingOverTheEnd(Loop):
    def padded(self, nxt, done):
        return torch.where(done[:, None] | (nxt == self.end_id), self.pad_id, nxt)

    def finished(self, done):
        return False


class AllAtOnce(Pipeline):
    """Ends when every row's newest id is the end token."""

    def search(self, model, ids, sample):
        for _ in range(self.max_new_tokens):
            tokens = self.min_length(ids, self.scores_of(model, ids)).argmax(-1)
            ids = torch.cat([ids, tokens[:, None]], dim=-1)
            if (tokens == self.end_id).all():
                break
        return ids


class EndInThePrompt(Loop):
    """Looks for the end token in the whole text, prompt and all."""

    def padded(self, nxt, done):
        return super().padded(nxt, done | self.before)

    def __call__(self, model, prompt, **asked):
        self.before = (prompt == asked["end_id"]).any(1)
        return super().__call__(model, prompt, **asked)


END_TOKEN_MISUNDERSTOOD = Fault(
    id="end-token-misunderstood",
    sentence="padding is written over the end token, or rows end only all at once, or an end token in the prompt ends the row",
    clauses=(generation.ROWS_STOP_AT_THEIR_OWN_END,),
    source="experience",
    written="done = (ids == end_id).any(1)",
    mend="done |= next_id == end_id, and pad from the next step on",
    builds=(
        writer(PaddingOverTheEnd, "greedy"),
        writer(AllAtOnce, "greedy"),
        writer(EndInThePrompt, "greedy", "sample"),
    ),
)


class WholeLength(Pipeline):
    """Compares the whole text with both lengths."""

    def min_length(self, ids, scores):
        if ids.shape[1] + 1 < self.min_new_tokens:
            scores[:, self.end_id] = -math.inf
        return scores


class OneShort(Plain):
    def text(self, model, row, asked):
        return super().text(model, row, {**asked, "max_new_tokens": asked["max_new_tokens"] - 1})


class EndPutOff(Pipeline):
    def min_length(self, ids, scores):
        if ids.shape[1] - self.start <= self.min_new_tokens:
            scores = scores.index_fill(-1, torch.tensor([self.end_id]), float("-inf"))
        return scores


LENGTHS_COUNTED_WRONG = Fault(
    id="lengths-counted-wrong",
    sentence="the minimum counts the prompt, or the end is put off by one id more; or the maximum is one short",
    clauses=(generation.LENGTHS_HOLD,),
    source="experience",
    written="if ids.shape[1] < min_new_tokens: forbid the end",
    mend="if ids.shape[1] - start < min_new_tokens: forbid the end",
    builds=(
        writer(WholeLength, "greedy"),
        writer(OneShort, *EVERYTHING),
        writer(EndPutOff, "greedy", "beam"),
    ),
)


class OneHeap(Pipeline):
    """All rows' beams are ranked together."""

    def beam_search(self, model, prompt):
        rows = super().beam_search(model, prompt)
        scores = [sum(self.scores_of(model, row[None])[0].log_softmax(-1).tolist()[:1]) for row in rows]
        best = rows[max(range(len(rows)), key=scores.__getitem__)]
        return torch.cat((prompt, best[prompt.shape[1] :].expand(len(prompt), -1)), 1)


class ParentsOfTheFirstRow(Pipeline):
    """Beams are reordered within the first row, whichever row they belong to."""

    def reordered(self, ids, parents, tokens):
        return super().reordered(ids, torch.cat([parents[: self.beams]] * (len(parents) // self.beams)), tokens)


class PenaltyForAll(Loop):
    """What one row has written becomes less likely in every row."""

    def last(self, logits):
        self.step = getattr(self, "step", 0) + 1
        out = super().last(logits)
        best = out.argmax(-1)
        return out.index_fill(-1, best[:-1], -50.0) if len(best) > 1 else out


ROWS_MIXED = Fault(
    id="rows-of-a-batch-mixed",
    sentence="beams of several rows compete, or are reordered as the first row's are; or a penalty of one row falls on another",
    clauses=(generation.A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH,),
    source="experience",
    written="ids[parents]  # parents count from 0 in each row",
    mend="ids[parents + beams * row]",
    builds=(
        writer(OneHeap, "greedy", "beam"),
        writer(ParentsOfTheFirstRow, "beam"),
        writer(PenaltyForAll, "greedy"),
    ),
)


class NewestAlone(Pipeline):
    def scores_of(self, model, ids):
        return super().scores_of(model, ids[:, -1:] if ids.shape[1] > self.start else ids)


class PromptAndNewest(Plain):
    """Passes the prompt and the newest id: what was written between is lost."""

    def text(self, model, row, asked):
        self.length = len(row)
        return super().text(model, row, asked)

    def after(self, model, text):
        return super().after(model, text[: self.length] + text[self.length :][-1:])


class CroppedToTwo(Loop):
    """Crops the text to the block size, which is read from another field."""

    def __call__(self, model, prompt, **asked):
        return super().__call__(lambda ids: model(ids[:, -2:]), prompt, **asked)


TEXT_READ_IN_PART = Fault(
    id="text-read-in-part",
    sentence="after the prompt only the newest id is passed on, or what was written between is lost, or the text is cropped",
    clauses=(generation.THE_MODEL_IS_CALLED_RIGHT,),
    source="experience",
    written="logits = model(next_id)  # use_cache is off",
    mend="logits = model(ids)",
    builds=(
        writer(NewestAlone, "greedy", "beam"),
        writer(PromptAndNewest, *EVERYTHING),
        writer(CroppedToTwo, "greedy"),
    ),
)
