"""Generation: choosing the next token, again and again.

The role is given the model: a function from ids to logits. So every expected text is known by hand, and no weight matters.
"""

from veriformer_spec.clause import Clause
from veriformer_spec.role import Role

_GENERATION = (Role.GENERATION,)

GREEDY_TAKES_THE_LARGEST = Clause(
    id="generation.greedy-takes-the-largest",
    text="greedy generation appends at each step the id with the largest logit at the last position",
    source="Graves 2012, section 1; Sutskever et al. 2014, section 3.2",
    breaks="the logits of the first or the last-but-one position, the smallest, or the largest over the batch",
    roles=_GENERATION,
    when={"strategies": ("greedy",)},
)
ROWS_STOP_AT_THEIR_OWN_END = Clause(
    id="generation.rows-stop-at-their-own-end-token",
    text="a row that has produced the end token holds padding after it, while other rows go on; the end token itself is kept, and one in the prompt ends nothing",
    source="Sutskever et al. 2014, section 3: until the end-of-sentence token",
    breaks="the first row to end ends all, no row ends until all do at once, rows that ended go on writing, padding is a number in the code",
    roles=_GENERATION,
)
LENGTHS_HOLD = Clause(
    id="generation.the-minimum-and-maximum-length-hold",
    text="no row gets more than max_new_tokens new ids, none ends before min_new_tokens nor is kept from ending once so many are written, "
    "and the prompt comes back unchanged before them",
    source="Wu et al. 2016, section 7; Veriformer: lengths count new ids; whether the minimum counts the end token, libraries differ",
    breaks="the prompt counted in the maximum, one id too many, the end token forbidden for ever",
    roles=_GENERATION,
)
A_ROWS_TEXT_DOES_NOT_DEPEND_ON_ITS_BATCH = Clause(
    id="generation.a-rows-text-does-not-depend-on-its-batch",
    text="a prompt gives the same ids alone and in a batch with others",
    source="Veriformer: rows are independent",
    breaks="an early stop of the batch, beams of several rows in one heap, a penalty shared by rows",
    roles=_GENERATION,
)
ONE_BEAM_IS_GREEDY = Clause(
    id="generation.one-beam-is-greedy",
    text="beam search of width 1 gives the greedy text",
    source="Graves 2012, section 2.5",
    breaks="the end token scored apart, the first step repeated for every beam",
    roles=_GENERATION,
    when={"strategies": ("beam",)},
)
A_WIDE_BEAM_FINDS_THE_BEST = Clause(
    id="generation.a-beam-that-drops-nothing-finds-the-best",
    text="a beam wide enough to drop no continuation returns the text of the highest total log-probability, by a search of all",
    source="Graves 2012, section 2.5; Sutskever et al. 2014, section 3.2",
    breaks="probabilities added in place of their logarithms, finished beams dropped or extended, beams reordered and their scores not",
    roles=_GENERATION,
    when={"strategies": ("beam",)},
)
BEAMS_FOLLOW_THEIR_PARENTS = Clause(
    id="generation.beams-follow-their-parents",
    text="a narrow beam returns what keeping the best continuations of the whole beam at each step returns, step by step by hand",
    source="Sutskever et al. 2014, section 3.2: we maintain a small number B of partial hypotheses",
    breaks="the best of each beam in place of the best of all, the first step's equal beams kept, the parent's index lost",
    roles=_GENERATION,
    when={"strategies": ("beam",)},
)
TEMPERATURE_ZERO_IS_GREEDY = Clause(
    id="generation.temperature-divides-the-logits",
    text="sampling near temperature 0 is greedy, at 0 it is greedy or refused and no crash (a ValueError, AssertionError, "
    "NotImplementedError or ZeroDivisionError refuses, and any that names the temperature), and at temperature T it draws each id "
    "anew with probabilities softmax(logits / T)",
    source="Ackley et al. 1985, section 2; Holtzman et al. 2020, section 5.1",
    breaks="multiplied in place of divided, applied after the softmax, a division by zero, one draw for all rows",
    roles=_GENERATION,
    when={"strategies": ("sample",)},
)
TOP_K_KEEPS_EXACTLY_ITS_SET = Clause(
    id="generation.top-k-keeps-exactly-its-set",
    text="top-k sampling draws every one of the k likeliest ids and no other, in proportion to their probabilities",
    source="Fan et al. 2018, section 5.1",
    breaks="k + 1 kept by a comparison with the k-th value, the threshold of one row used for all, no renormalisation",
    roles=_GENERATION,
    when={"strategies": ("sample",)},
)
TOP_P_KEEPS_EXACTLY_ITS_SET = Clause(
    id="generation.top-p-keeps-exactly-its-set",
    text="top-p sampling draws every id of the smallest set of likeliest ids whose probabilities sum to p or more, and no other",
    source="Holtzman et al. 2020, section 3.1, equation 2",
    breaks="the id that crosses p left out, the sorted mask applied without putting it back in the ids' order, the likeliest id dropped",
    roles=_GENERATION,
    when={"strategies": ("sample",)},
)
THE_MODEL_IS_CALLED_RIGHT = Clause(
    id="generation.the-whole-text-is-read",
    text="at every step the choice follows the model's logits for the whole text so far",
    source="Graves 2012, equation 1: each prediction is conditioned on all inputs before",
    breaks="the last token passed alone without a cache, the prompt cut, the new id put in front",
    roles=_GENERATION,
)
