"""Faults in beam search, planted in the reference by replacing one function."""

# mypy: ignore-errors
# Patches stand in for typed functions, and are written the way the mistake is.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import generation as reference
from veriformer_spec import generation
from veriformer_spec.role import Role

_ALL = (Planted(role=Role.GENERATION, claims={"strategies": ("greedy", "beam", "sample")}),)
_BEAM = (Planted(role=Role.GENERATION, claims={"strategies": ("beam",)}),)

continuations, keep_best, forbid = reference.continuations, reference.keep_best, reference.forbid


def _one_wider(found, beams):
    return keep_best(found, beams + 1)


ONE_BEAM_TOO_MANY = Fault(
    id="one-beam-too-many",
    sentence="one beam more than asked for is kept",
    clauses=(generation.ONE_BEAM_IS_GREEDY,),
    source="experience",
    written="sorted(candidates)[: beams + 1]",
    mend="sorted(candidates)[:beams]",
    patches=(("generation.keep_best", _one_wider),),
    planted=(*_BEAM, *_ALL),
)


def _end_by_its_logit(model, beams, end_id, *, may_end):
    going_on = [beam for beam in beams if not beam.ended]
    ends = reference.next_logits(model, torch.stack([beam.ids for beam in going_on]))[:, end_id].tolist()
    apart = {tuple(beam.ids.tolist()): beam.score + end for beam, end in zip(going_on, ends, strict=True) if may_end}
    found = []
    for each in continuations(model, beams, end_id, may_end=may_end):
        before = tuple(each.ids[:-1].tolist())
        found.append(each._replace(score=apart[before]) if each.ended and before in apart else each)
    return found


END_TOKEN_SCORED_APART = Fault(
    id="end-token-scored-apart",
    sentence="words are scored by their log-probability, and the end token by its logit",
    clauses=(generation.ONE_BEAM_IS_GREEDY,),
    source="experience",
    written="finished.append((score + logits[end_id], text))",
    mend="finished.append((score + log_probabilities[end_id], text))",
    patches=(("generation.continuations", _end_by_its_logit),),
    planted=_BEAM,
)


def _sums_of_probabilities(model, beams, end_id, *, may_end):
    found = [beam for beam in beams if beam.ended]
    going_on = [beam for beam in beams if not beam.ended]
    scores = reference.next_logits(model, torch.stack([beam.ids for beam in going_on])).softmax(-1)
    for beam, row in zip(going_on, forbid(scores, end_id, forbidden=not may_end), strict=True):
        for next_id, score in enumerate(row.tolist()):
            ids = torch.cat((beam.ids, beam.ids.new_tensor([next_id])))
            found.append(reference.Beam(ids, beam.score + score, next_id == end_id))
    return found


PROBABILITIES_ADDED = Fault(
    id="probabilities-added",
    sentence="a text's score is the sum of its probabilities, not of their logarithms",
    clauses=(generation.A_WIDE_BEAM_FINDS_THE_BEST,),
    source="experience",
    written="score = score + probabilities[next_id]",
    mend="score = score + probabilities[next_id].log()",
    patches=(("generation.continuations", _sums_of_probabilities),),
    planted=_BEAM,
)


def _ended_extended(model, beams, end_id, *, may_end):
    return continuations(model, [beam._replace(ended=False) for beam in beams], end_id, may_end=may_end)


ENDED_BEAMS_EXTENDED = Fault(
    id="ended-beams-extended",
    sentence="a beam that has written the end token is continued as if it had not",
    clauses=(generation.A_WIDE_BEAM_FINDS_THE_BEST,),
    source="experience",
    written="for beam in beams: candidates += extend(beam)",
    mend="set ended beams aside, with their scores",
    patches=(("generation.continuations", _ended_extended),),
    planted=_BEAM,
)


def _all_behind_the_first(model, beams, end_id, *, may_end):
    found = continuations(model, beams, end_id, may_end=may_end)
    return [each._replace(ids=torch.cat((beams[0].ids, each.ids[-1:]))) if not each.ended else each for each in found]


PARENT_LOST = Fault(
    id="parent-of-a-beam-lost",
    sentence="the best next ids are written behind the beams as they stand, whichever beam they came from",
    clauses=(generation.BEAMS_FOLLOW_THEIR_PARENTS,),
    source="experience",
    written="ids = torch.cat((ids, next_id), 1)",
    mend="ids = torch.cat((ids[parent], next_id), 1)",
    patches=(("generation.continuations", _all_behind_the_first),),
    planted=(*_BEAM, *_ALL),
)


def _best_of_each(found, beams):
    if len({tuple(each.ids[:-1].tolist()) for each in found}) == 1:
        return keep_best(found, beams)
    best = {}
    for each in keep_best(found, len(found)):
        best.setdefault(each.ids if each.ended else tuple(each.ids[:-1].tolist()), each)
    return keep_best(list(best.values()), beams)


BEST_OF_EACH_BEAM_KEPT = Fault(
    id="best-of-each-beam-kept",
    sentence="each beam keeps its own best continuation, so that no beam ever takes another's place",
    clauses=(generation.BEAMS_FOLLOW_THEIR_PARENTS,),
    source="experience",
    written="next_id = scores.argmax(-1)  # one for each beam",
    mend="scores.flatten().topk(beams)",
    patches=(("generation.keep_best", _best_of_each),),
    planted=_BEAM,
)
