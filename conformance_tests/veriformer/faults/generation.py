"""Faults in generation, planted in the reference by replacing one function."""

# mypy: ignore-errors
# Patches stand in for typed functions, and are written the way the mistake is.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import generation as reference
from veriformer_spec import generation
from veriformer_spec.role import Role

_STRATEGIES = ("greedy", "beam", "sample")
_GREEDY = (Planted(role=Role.GENERATION),)
_ALL = (Planted(role=Role.GENERATION, claims={"strategies": _STRATEGIES}),)
_BEAM = (Planted(role=Role.GENERATION, claims={"strategies": ("beam",)}),)
_SAMPLE = (Planted(role=Role.GENERATION, claims={"strategies": ("sample",)}), *_ALL)

one_by_one, append, forbid = reference.one_by_one, reference.append, reference.forbid


def _first_position(model, ids):
    return model(ids)[:, 0]


LOGITS_OF_THE_FIRST_POSITION = Fault(
    id="logits-of-the-first-position",
    sentence="the next id is chosen by the logits of the first position",
    clauses=(generation.GREEDY_TAKES_THE_LARGEST,),
    source="experience",
    written="logits[:, 0].argmax(-1)",
    mend="logits[:, -1].argmax(-1)",
    patches=(("generation.next_logits", _first_position),),
    planted=(*_GREEDY, *_ALL),
)


def _last_but_one(model, ids):
    return model(ids)[:, -2]


LOGITS_OF_THE_LAST_BUT_ONE_POSITION = Fault(
    id="logits-of-the-last-but-one-position",
    sentence="the next id is chosen by the logits of the last but one position",
    clauses=(generation.GREEDY_TAKES_THE_LARGEST,),
    source="experience",
    written="logits[:, -2]  # the last token is the end token",
    mend="logits[:, -1]",
    patches=(("generation.next_logits", _last_but_one),),
    planted=_GREEDY,
)


def _second_best(logits):
    return logits.topk(2, dim=-1).indices[:, 1]


SECOND_BEST_TAKEN = Fault(
    id="second-best-id-taken",
    sentence="the id with the second largest logit is taken",
    clauses=(generation.GREEDY_TAKES_THE_LARGEST,),
    source="experience",
    written="logits.argsort()[:, -2]",
    mend="logits.argmax(-1)",
    patches=(("generation.largest", _second_best),),
    planted=_GREEDY,
)


def _without_padding(ids, chosen, ended, pad_id):
    return torch.cat((ids, chosen[:, None]), dim=1)


ENDED_ROWS_GO_ON = Fault(
    id="ended-rows-go-on",
    sentence="a row that has ended goes on writing for as long as another row does",
    clauses=(generation.ROWS_STOP_AT_THEIR_OWN_END,),
    source="experience",
    written="while not (ids == end_id).any(1).all(): ids = torch.cat((ids, next_id), 1)",
    mend="next_id = next_id.masked_fill(ended, pad_id)",
    patches=(("generation.append", _without_padding),),
    planted=_GREEDY,
)


def _zero_padding(ids, chosen, ended, pad_id):
    return append(ids, chosen, ended, 0)


PADDING_IS_A_NUMBER_IN_THE_CODE = Fault(
    id="padding-is-a-number-in-the-code",
    sentence="rows that have ended are filled with id 0, whatever padding is",
    clauses=(generation.ROWS_STOP_AT_THEIR_OWN_END,),
    source="experience",
    written="next_id * (~ended)",
    mend="next_id.masked_fill(ended, pad_id)",
    patches=(("generation.append", _zero_padding),),
    planted=_GREEDY,
)


def _ends_with_the_first(model, prompt, choose, *, max_new_tokens, min_new_tokens, end_id, pad_id):
    ids = prompt
    for length in range(1, max_new_tokens + 1):
        chosen = choose(forbid(reference.next_logits(model, ids), end_id, forbidden=length < min_new_tokens))
        ids = torch.cat((ids, chosen[:, None]), dim=1)
        if (chosen == end_id).any():
            break
    return ids


FIRST_ROW_TO_END_ENDS_ALL = Fault(
    id="first-row-to-end-ends-all",
    sentence="the loop stops as soon as one row of the batch has ended",
    clauses=(generation.ROWS_STOP_AT_THEIR_OWN_END, generation.A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH),
    source="experience",
    written="if (next_id == end_id).any(): break",
    mend="ended |= next_id == end_id; if ended.all(): break",
    patches=(("generation.one_by_one", _ends_with_the_first),),
    planted=_GREEDY,
)


def _prompt_counted(model, prompt, choose, *, max_new_tokens, **lengths):
    room = max(1, max_new_tokens - prompt.shape[1])
    return one_by_one(model, prompt, choose, max_new_tokens=room, **lengths)


PROMPT_COUNTED_IN_THE_MAXIMUM = Fault(
    id="prompt-counted-in-the-maximum",
    sentence="the maximum of new ids counts the prompt, too",
    clauses=(generation.LENGTHS_HOLD,),
    source="experience",
    written="while ids.shape[1] < max_new_tokens:",
    mend="for _ in range(max_new_tokens):",
    patches=(("generation.one_by_one", _prompt_counted),),
    planted=_GREEDY,
)


def _one_more(model, prompt, choose, *, max_new_tokens, **lengths):
    return one_by_one(model, prompt, choose, max_new_tokens=max_new_tokens + 1, **lengths)


ONE_ID_TOO_MANY = Fault(
    id="one-id-too-many",
    sentence="one id more than the maximum is written",
    clauses=(generation.LENGTHS_HOLD,),
    source="experience",
    written="for step in range(max_new_tokens + 1):",
    mend="for step in range(max_new_tokens):",
    patches=(("generation.one_by_one", _one_more),),
    planted=_GREEDY,
)


def _never_ends(logits, end_id, *, forbidden):
    return forbid(logits, end_id, forbidden=True)


END_TOKEN_FORBIDDEN_FOR_EVER = Fault(
    id="end-token-forbidden-for-ever",
    sentence="the end token stays forbidden after the minimum length is reached",
    clauses=(generation.LENGTHS_HOLD,),
    source="experience",
    written="logits[:, end_id] = -inf  # no length is looked at",
    mend="if new < min_new_tokens: logits[:, end_id] = -inf",
    patches=(("generation.forbid", _never_ends),),
    planted=(*_GREEDY, *_BEAM),
)


def _no_minimum(logits, end_id, *, forbidden):
    return logits


MINIMUM_LENGTH_IGNORED = Fault(
    id="minimum-length-ignored",
    sentence="min_new_tokens is accepted and never read",
    clauses=(generation.LENGTHS_HOLD,),
    source="experience",
    written="def generate(..., min_new_tokens=0): # ignored",
    mend="forbid the end token while fewer ids are written",
    patches=(("generation.forbid", _no_minimum),),
    planted=(*_GREEDY, *_BEAM, _SAMPLE[0]),
)


def _last_token_alone(model, ids):
    return model(ids[:, -1:])[:, -1]


LAST_TOKEN_ALONE = Fault(
    id="last-token-passed-alone",
    sentence="without a cache, only the newest token is passed to the model",
    clauses=(generation.THE_MODEL_IS_CALLED_RIGHT,),
    source="experience",
    written="logits = model(next_id)",
    mend="logits = model(ids)",
    patches=(("generation.next_logits", _last_token_alone),),
    planted=(*_GREEDY, *_BEAM),
)


def _first_token_cut(model, ids):
    return model(ids[:, 1:])[:, -1]


PROMPT_CUT = Fault(
    id="first-token-of-the-text-cut",
    sentence="the first token of the text is not passed to the model",
    clauses=(generation.THE_MODEL_IS_CALLED_RIGHT,),
    source="experience",
    written="model(ids[:, -(ids.shape[1] - 1):])",
    mend="model(ids)",
    patches=(("generation.next_logits", _first_token_cut),),
    planted=_GREEDY,
)
