"""Generation: choosing the next token, again and again.

The model is given, as a function from ids to logits, and reads the whole text at every step. Lengths count new ids, the
end token among them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Model = Callable[[Tensor], Tensor]
"""Ids (batch time) in, a logit for each word of the vocabulary at each position (batch time vocab) out."""


def next_logits(model: Model, ids: Int[Tensor, "batch time"]) -> Float[Tensor, "batch vocab"]:
    """What the model says may follow the whole text: its logits at the last position.

    Source:
        Graves 2012, section 2, equation 1 (generation.the-whole-text-is-read).
    """
    logits: Tensor = model(ids)[:, -1]
    return logits


def forbid(logits: Float[Tensor, "batch vocab"], end_id: int, *, forbidden: bool) -> Float[Tensor, "batch vocab"]:
    """Make the end token impossible, while a text is too short to end.

    Source:
        Wu et al. 2016, section 7 (generation.the-minimum-and-maximum-length-hold).
    """
    if not forbidden:
        return logits
    is_end = torch.arange(logits.shape[-1], device=logits.device) == end_id
    return logits.masked_fill(is_end, -torch.inf)


def largest(logits: Float[Tensor, "batch vocab"]) -> Int[Tensor, " batch"]:
    """The likeliest id of each row.

    Source:
        Graves 2012, section 1 (generation.greedy-takes-the-largest).
    """
    return logits.argmax(dim=-1)


def cool(logits: Float[Tensor, "batch vocab"], temperature: float) -> Float[Tensor, "batch vocab"]:
    """Divide by the temperature: below 1 the likely ids get likelier, above 1 less so.

    z / T, less the row's maximum, which changes no probability and leaves nothing to overflow as T nears zero.

    Source:
        Ackley et al. 1985, section 2 (generation.temperature-divides-the-logits).
    """
    return (logits.double() - logits.double().amax(dim=-1, keepdim=True)) / temperature


def keep_top_k(logits: Float[Tensor, "batch vocab"], k: int) -> Float[Tensor, "batch vocab"]:
    """Leave each row its k likeliest ids, and not one more where some are equally likely.

    Source:
        Fan et al. 2018, section 5.1 (generation.top-k-keeps-exactly-its-set).
    """
    chosen = logits.topk(min(k, logits.shape[-1]), dim=-1).indices
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, chosen, True)
    return logits.masked_fill(~kept, -torch.inf)


def keep_top_p(logits: Float[Tensor, "batch vocab"], p: float) -> Float[Tensor, "batch vocab"]:
    """Leave each row the smallest set of likeliest ids whose probabilities sum to p or more.

    An id is in the set as long as those before it, from the likeliest down, fall short of p: so the id that crosses p is
    in, and the likeliest always is.

    Source:
        Holtzman et al. 2020, section 3.1, equation 2 (generation.top-p-keeps-exactly-its-set).
    """
    probabilities, order = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True, stable=True)
    before = probabilities.cumsum(dim=-1) - probabilities
    first = torch.arange(logits.shape[-1], device=logits.device) == 0
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, (before < p) | first)
    return logits.masked_fill(~kept, -torch.inf)


def draw(
    logits: Float[Tensor, "batch vocab"], *, temperature: float, top_k: int | None, top_p: float | None
) -> Int[Tensor, " batch"]:
    """An id for each row, at random: the temperature first, then the k likeliest, then of those the likeliest p.

    The probabilities are softmax(z / T) over what is left, and so sum to one again.

    Args:
        temperature: 0 takes the likeliest id.

    Source:
        Holtzman et al. 2020, sections 3.1 and 5.1; Fan et al. 2018, section 5.1
        (generation.temperature-divides-the-logits, generation.top-k-keeps-exactly-its-set,
        generation.top-p-keeps-exactly-its-set).
    """
    if temperature == 0:
        return largest(logits)
    left = cool(logits, temperature)
    if top_k is not None:
        left = keep_top_k(left, top_k)
    if top_p is not None:
        left = keep_top_p(left, top_p)
    return torch.multinomial(torch.softmax(left, dim=-1), 1)[:, 0]


def append(
    ids: Int[Tensor, "batch time"], chosen: Int[Tensor, " batch"], ended: Bool[Tensor, " batch"], pad_id: int
) -> Int[Tensor, "batch _"]:
    """Write the chosen id behind each text, and padding behind those that have ended.

    Source:
        Sutskever et al. 2014, section 3 (generation.rows-stop-at-their-own-end-token).
    """
    return torch.cat((ids, chosen.masked_fill(ended, pad_id)[:, None]), dim=1)


def one_by_one(
    model: Model,
    prompt: Int[Tensor, "batch time"],
    choose: Callable[[Tensor], Tensor],
    *,
    max_new_tokens: int,
    min_new_tokens: int,
    end_id: int,
    pad_id: int,
) -> Int[Tensor, "batch _"]:
    """Choose and append, until each row has ended or the text is as long as it may be.

    Source:
        Graves 2012, section 1 (generation.rows-stop-at-their-own-end-token,
        generation.the-minimum-and-maximum-length-hold, generation.a-rows-text-does-not-depend-on-its-batch).
    """
    ids, ended = prompt, torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    for length in range(1, max_new_tokens + 1):
        if ended.all():
            break
        chosen = choose(forbid(next_logits(model, ids), end_id, forbidden=length < min_new_tokens))
        ids = append(ids, chosen, ended, pad_id)
        ended = ended | (chosen == end_id)
    return ids


class Beam(NamedTuple):
    """One text that the search has kept.

    Attributes:
        ids: the prompt and what was written behind it.
        score: the total log-probability of the new ids, in nats.
        ended: whether it has written the end token.
    """

    ids: Tensor
    score: float
    ended: bool


def continuations(model: Model, beams: list[Beam], end_id: int, *, may_end: bool) -> list[Beam]:
    """Every text that is one id longer than a beam; a beam that has ended goes on as it is.

    score + log p(id | text): what is forbidden is left out, and lends its probability to no other id.

    Source:
        Graves 2012, section 2.5; Sutskever et al. 2014, section 3.2 (generation.a-beam-that-drops-nothing-finds-the-best).
    """
    found = [beam for beam in beams if beam.ended]
    going_on = [beam for beam in beams if not beam.ended]
    logits = next_logits(model, torch.stack([beam.ids for beam in going_on]))
    scores = forbid(torch.log_softmax(logits.double(), dim=-1), end_id, forbidden=not may_end)
    for beam, row in zip(going_on, scores, strict=True):
        for next_id, score in enumerate(row.tolist()):
            longer = torch.cat((beam.ids, beam.ids.new_tensor([next_id])))
            found.append(Beam(longer, beam.score + score, next_id == end_id))
    return found


def keep_best(found: list[Beam], beams: int) -> list[Beam]:
    """The beams of the highest score, whichever beams they came from, the best first.

    Source:
        Sutskever et al. 2014, section 3.2 (generation.beams-follow-their-parents).
    """
    return sorted(found, key=lambda beam: beam.score, reverse=True)[:beams]


def beam_search(
    model: Model,
    prompt: Int[Tensor, " time"],
    *,
    beams: int,
    max_new_tokens: int,
    min_new_tokens: int,
    end_id: int,
) -> Int[Tensor, " _"]:
    """Write on from one prompt along several texts at once, and return the one of the highest total log-probability.

    The search starts from one beam, so that the first step cannot keep one text twice. Texts that have ended stay among
    the beams while nothing better pushes them out; their score is not divided by their length.

    Source:
        Graves 2012, section 2.5; Sutskever et al. 2014, section 3.2
        (generation.beams-follow-their-parents, generation.a-beam-that-drops-nothing-finds-the-best,
        generation.one-beam-is-greedy).
    """
    kept = [Beam(prompt, 0.0, ended=False)]
    for length in range(1, max_new_tokens + 1):
        if all(beam.ended for beam in kept):
            break
        kept = keep_best(continuations(model, kept, end_id, may_end=length >= min_new_tokens), beams)
    return kept[0].ids


def side_by_side(texts: list[Tensor], pad_id: int) -> Int[Tensor, "batch _"]:
    """Texts of any lengths as the rows of one tensor, with padding behind the shorter ones.

    Source:
        generation.rows-stop-at-their-own-end-token.
    """
    longest = max(len(text) for text in texts)
    return torch.stack([torch.cat((text, text.new_full((longest - len(text),), pad_id))) for text in texts])


def generate(
    model: Model,
    prompt: Int[Tensor, "batch time"],
    *,
    strategy: str,
    max_new_tokens: int,
    min_new_tokens: int,
    end_id: int,
    pad_id: int,
    beams: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
) -> Int[Tensor, "batch _"]:
    """The prompt, then the new ids, padded with ``pad_id`` where a row ended before others.

    Args:
        strategy: "greedy"; "beam", which reads ``beams``; or "sample", which reads ``temperature``, ``top_k``, ``top_p``.

    Raises:
        ValueError: another strategy.

    Source:
        Graves 2012, sections 1 and 2.5; Holtzman et al. 2020, section 3.1
        (generation.a-rows-text-does-not-depend-on-its-batch).
    """
    if strategy == "beam":
        search = partial(beam_search, beams=beams, max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens)
        return side_by_side([search(model, row, end_id=end_id) for row in prompt], pad_id)
    if strategy == "greedy":
        choose = largest
    elif strategy == "sample":
        choose = partial(draw, temperature=temperature, top_k=top_k, top_p=top_p)
    else:
        raise ValueError(f"{strategy=} must be greedy, beam or sample")
    lengths = {"max_new_tokens": max_new_tokens, "min_new_tokens": min_new_tokens}
    return one_by_one(model, prompt, choose, end_id=end_id, pad_id=pad_id, **lengths)
