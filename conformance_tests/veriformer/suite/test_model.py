"""Model, tested: from token ids to logits."""

import dataclasses
from functools import partial

import torch
from torch import Tensor

from veriformer import calls, enlarged, oracle, overflow, perturbation, tolerance
from veriformer.case import Case
from veriformer.declaration import Unsupported
from veriformer.inputs import PAD_ID, Inputs
from veriformer.known_output import require_the_known_output
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer_spec import model
from veriformer_spec.role import Role

SUMS_TO_ONE = 1e-3
"""How near to one a row of logits may sum by chance; a hundred rows never do."""


@checks(
    model.EQUALS_THE_REFERENCE,
    sentence="2335100f",
    cases=cases(masks=("none", "padding"), q_len=(1, 5)),
    needs_weights=True,
    most=15,
)
def test_equals_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's weights the reference gives the same logits, with and without gradients."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    try:
        oracle.require_equals_the_reference(
            instance,
            inputs,
            "with the subject's weights the reference gives other logits",
            grad=bool(case.seed // 8 % 2),
        )
    except Violation as seen:
        compute, got = oracle.oracle(instance), instance(inputs)
        words = {"log_softmax": torch.log_softmax, "softmax": torch.softmax}
        for name, function in words.items():
            if torch.allclose(got.double().cpu(), inputs.specified(function(compute(inputs), dim=-1)), rtol=1e-4):
                seen.behaves_as([f"{name} of the logits: return the logits themselves"])
        raise


@checks(
    model.LOGITS_COVER_THE_VOCABULARY,
    sentence="010c8af6",
    cases=cases(vocab=(5, 11), q_len=(3, 5), batch=(2, 3)),
    most=10,
)
def test_logits_cover_the_vocabulary(subject: Subject, case: Case) -> None:
    """Count the logits, see that they are no probabilities, that each varies, and that one word is a vocabulary."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    logits = instance(inputs)
    _require_shape(logits, case, f"a vocabulary of {case.vocab} words")
    _refuse_probabilities(logits)
    _require_a_vocabulary_of_one(subject, case)
    if case.vocab <= 2:
        return  # every token is the same word
    flat = logits.flatten(0, 1)
    still = (flat == flat[:1]).all(0)
    if bool(still.any()) and not bool(still.all()):
        word = int(still.int().argmax())
        raise Violation(
            f"the logit of word {word} is {float(flat[0, word]):.4g} at every position, and the others vary",
            got=flat[0],
        )
    if bool(still.all()):
        raise Violation("every position gets the same logits, whatever the ids", got=flat[0])


def _require_shape(logits: Tensor, case: Case, words: str) -> None:
    expected = (case.batch, case.q_len, case.vocab)
    if tuple(logits.shape) != expected:
        raise Violation(f"{words}: the logits have shape {tuple(logits.shape)}, where {expected} is promised")


def _refuse_probabilities(logits: Tensor) -> None:
    if logits.shape[-1] < 2 or not bool((logits >= 0).all()):
        return
    if bool(((logits.sum(-1) - 1).abs() < SUMS_TO_ONE).all()):
        raise Violation(
            "the numbers of every position sum to one: they are probabilities, and a loss that applies the softmax does so twice",
            got=logits[0, 0],
        )


def _require_a_vocabulary_of_one(subject: Subject, case: Case) -> None:
    """One word, which is the padding id too: its logit may be any number, but has its place, and nothing stops."""
    if "vocab" in subject.declaration.sizes:
        return
    one = dataclasses.replace(case, vocab=1)
    try:
        instance = subject.instance(one)
    except Unsupported:
        return
    except SubjectError as error:
        raise Violation(f"a model over a vocabulary of one word cannot be built: {error}") from error
    try:
        logits = instance(subject.inputs(one))
    except SubjectError as error:
        raise Violation(f"a vocabulary of one word raises: {error}") from error
    _require_shape(logits, one, "a vocabulary of one word")


@checks(
    model.NORMS_STAND_AS_CLAIMED,
    sentence="560d7d52",
    cases=cases(d_head=(3, 4), layers=(2, 3), q_len=(3, 5), sides=("self",)),
    most=8,
)
def test_norms_stand_as_claimed(subject: Subject, case: Case) -> None:
    """Enlarge the token embeddings: pre-norm skips pass a token on, large as it is, and its neighbours no longer show."""
    if case.layers < 2:
        raise NotChecked("in one post-norm layer attention to large tokens may see one alone")
    large = enlarged.enlarged(subject, case)
    share = large.influence(enlarged.with_other_neighbours(large.inputs))
    claimed = subject.claims["norm"]
    if claimed == "pre" and share > enlarged.THERE:
        raise Violation(
            "the claim norm=pre does not hold: with large token embeddings, what the last token's neighbours add is as large, and changes "
            f"{share:.2g} of its logits: a skip carries what a norm made small, or no norm stands before a sublayer"
        )
    if claimed == "post" and share < enlarged.GONE:
        raise Violation(
            "the claim norm=post does not hold: with large token embeddings, the last token's logits no longer show its neighbours, so that no "
            "norm stands after the addition: it behaves as norm=pre"
        )


@checks(
    model.FINAL_NORM_IS_AS_CLAIMED,
    sentence="5b1681e2",
    cases=cases(q_len=(3, 5), layers=(1, 3), d_head=(3, 4)),
    most=8,
)
def test_a_final_norm_is_as_claimed(subject: Subject, case: Case) -> None:
    """Enlarge the token embeddings, and see whether the logits follow; and whether the source's size is still seen."""
    claimed = subject.config(case).ends_in_norm
    large = enlarged.enlarged(subject, case)
    if subject.role is Role.ENCODER_DECODER:
        _require_the_encoder_to_end_as_claimed(large, claimed=claimed)
    if subject.claims["head"] == "transform":
        raise NotChecked("the head has a norm of its own, behind which the stack's cannot be seen")
    follows = large.degree - large.tied
    if abs(follows - (not claimed)) < 0.25:
        return
    said = f"a norm at the end is {'claimed' if claimed else 'not claimed'}"
    if abs(follows - claimed) < 0.25:
        grow = "grow in proportion" if claimed else "stay as they are"
        raise Violation(f"{said}, but with token embeddings {enlarged.MORE:g} times as large the logits {grow}")
    raise NotChecked(
        f"{said}; the logits follow the embeddings by a power of {large.degree:.2g}, which is not understood"
    )


def _require_the_encoder_to_end_as_claimed(large: enlarged.Enlarged, *, claimed: bool) -> None:
    """Behind a norm the memory is small beside the large target; without one it is as large, and shows."""
    share = large.influence(enlarged.with_another_source(large.inputs))
    if claimed and share > enlarged.THERE:
        raise Violation(
            "a norm at the end of the encoder is claimed, but with large token embeddings the memory is as large: the source changes "
            f"{share:.2g} of the logits"
        )
    if not claimed and share < enlarged.GONE:
        raise Violation(
            "no norm at the end of the encoder is claimed, but with large token embeddings the memory stays small: the source changes "
            f"{share:.2g} of the logits"
        )


@checks(
    model.ONE_TOKEN_AND_THE_LONGEST_LENGTH,
    sentence="55a78029",
    cases=cases(q_len=(2, 3), k_len=(2, 3), batch=(2, 3)),
    most=6,
)
def test_one_token_and_the_longest_length_work(subject: Subject, case: Case) -> None:
    """One instance, called with one token and with as many as it can hold: the first position's logits are the same."""
    fixed = subject.declaration.sizes
    if {"q_len", "k_len"} & fixed.keys():
        raise NotChecked("the subject takes sequences of one length only")
    instance = subject.instance(case)
    whole = subject.inputs(dataclasses.replace(case, q_len=instance.config.max_len, k_len=instance.config.max_len))
    first = torch.arange(1)
    for length, inputs in ((1, _beginning(whole, first)), (instance.config.max_len, whole)):
        words = f"a sequence of {length} token{'s' if length > 1 else ''}"
        for grad in (False, True):
            try:
                logits = instance(inputs, grad=grad)
            except SubjectError as error:
                raise Violation(
                    f"{words} raises, where config.max_len is {instance.config.max_len}: {error}"
                ) from error
            _require_shape(logits, dataclasses.replace(case, q_len=length), words)
            if not bool(logits.isfinite().all()):
                raise Violation(f"{words} gives logits that are not finite", got=logits[0, 0])
    if not subject.causal:
        return
    tolerance.require_close(
        instance(whole)[:, :1], instance(_beginning(whole, first)), "the first of many tokens gets other logits than it gets alone",
        dtype=subject.rounds_to, again=lambda: instance(whole)[:, :1],
    )  # fmt: skip


def _beginning(inputs: Inputs, positions: Tensor) -> Inputs:
    """The same call cut to ``positions``; a source stays whole."""
    if inputs.crosses:
        return inputs.taking(torch.arange(inputs.k_len), positions)
    return inputs.taking(positions)


@checks(model.BEYOND_THE_MAXIMUM_IS_TOLD, sentence="0a974950", cases=cases(q_len=(2, 3), sides=("self",)), most=4)
def test_a_length_beyond_the_maximum_raises(subject: Subject, case: Case) -> None:
    """One token more than config.max_len, and twice as many: each raises."""
    if {"q_len", "k_len"} & subject.declaration.sizes.keys():
        raise NotChecked("the subject takes sequences of one length only")
    instance = subject.instance(case)
    longest = instance.config.max_len
    for length in (longest + 1, 2 * longest):
        try:
            logits = instance(subject.inputs(dataclasses.replace(case, q_len=length, k_len=length)))
        except SubjectError:
            continue
        raise Violation(
            f"{length} tokens, where config.max_len is {longest}, do not raise: they give shape {tuple(logits.shape)}"
        )


@checks(
    model.THE_ENCODER_NEVER_SEES_THE_TARGET,
    sentence="450e4075",
    cases=cases(q_len=(2, 4), k_len=(3, 5), d_head=(3, 4), sides=("cross",)),
    most=12,
)
def test_the_encoder_never_sees_the_target(subject: Subject, case: Case) -> None:
    """Change each token of source and target: the first position's logits follow the whole source and the first token alone."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    _require_shape(instance(inputs), case, "an encoder-decoder")
    row = case.seed % case.batch
    first = torch.zeros(case.q_len, case.q_len, dtype=torch.bool)
    first[0, 1:] = True

    def look(grad: bool) -> None:  # noqa: FBT001  # as perturbation.on_every_path calls it
        apart, base = perturbation.query_influence(instance, inputs, row, case.seed, grad=grad)
        message = "the first position's logits depend on later tokens of the target"
        perturbation.refuse_leaks(
            instance,
            inputs,
            base,
            apart,
            first,
            who=f"{message}: in row {row}, position",
            what="target token",
            grad=grad,
        )
        if not bool(apart[0, 0] > 0):
            _require_own_token(instance, inputs, row, case.seed, grad=grad)

    perturbation.on_every_path(instance, look)
    seen = torch.zeros(case.q_len, case.k_len, dtype=torch.bool)
    seen[0] = True
    perturbation.require_visible(
        instance, inputs, row, seen, "the logits do not depend on the whole source", seed=case.seed, grad=False
    )


def _require_own_token(instance: Instance, inputs: Inputs, row: int, seed: int, *, grad: bool) -> None:
    for restart in range(1, perturbation.RESTARTS):
        apart, _ = perturbation.query_influence(instance, inputs, row, seed + restart, grad=grad)
        if bool(apart[0, 0] > 0):
            return
    raise Violation(f"in row {row}, the first position's logits do not depend on the first target token")


@checks(
    model.AN_ALL_PADDED_SOURCE_STAYS_IN_ITS_ROW,
    sentence="62016847",
    cases=cases(batch=(2, 3), q_len=(2, 4), k_len=(2, 4), masks=("padding",), sides=("cross",)),
    most=10,
)
def test_a_row_of_padding_stays_in_its_row(subject: Subject, case: Case) -> None:
    """Make one row all padding: the others keep their logits, and the gradients of their loss are finite."""
    if case.batch < 2:
        raise NotChecked("the subject takes one row at a time")
    instance, inputs = subject.instance(case), subject.inputs(case)
    row = case.seed % case.batch
    others = torch.arange(case.batch) != row
    padded = _all_padded(inputs, row)
    claimed = subject.claims["nothing_visible"]
    for words, grad, mode in (calls.EVALUATION, *calls.modes(instance)):
        with mode():
            base = instance(inputs, grad=grad)
            try:
                got = instance(padded, grad=grad)
            except SubjectError as error:
                if claimed["grad" if grad else "no-grad"] in ("error", "unspecified"):
                    raise NotChecked(f"the subject raises where a row is all padding: {error}") from error
                raise Violation(f"a row of padding raises ({words}): {error}") from error
            tolerance.require_close(
                got[others],
                base[others],
                f"other rows change where row {row} is all padding ({words})",
                dtype=subject.rounds_to,
            )
            if (
                not grad or not got.requires_grad or claimed["grad"] == "nan"
            ):  # NaN, where claimed, reaches shared weights
                continue
            poisoned = _poisoned(instance, padded.specified(got)[others])
        if poisoned:
            overflow.require_float32_to_agree(
                subject, case, partial(_is_finite, padded, others), "a row is all padding"
            )
            raise Violation(
                f"with a row of padding in the batch, the other rows' gradient of {poisoned} is not finite ({words})"
            )


def _all_padded(inputs: Inputs, row: int) -> Inputs:
    """The same call with every id of ``row`` (of an encoder-decoder: of its source) padding, and masked."""
    assert inputs.mask is not None
    mask = inputs.mask.clone()
    mask[row] = False
    *around, ids = inputs.tensors
    ids = ids.clone()
    ids[row] = PAD_ID
    return dataclasses.replace(inputs, tensors=(*around, ids), mask=mask)


def _is_finite(padded: Inputs, others: Tensor, narrow: Instance) -> bool:
    return not _poisoned(narrow, padded.specified(narrow(padded, grad=True))[others])


def _poisoned(instance: Instance, logits: Tensor) -> str:
    """The first parameter whose gradient is not finite, by name; empty where every one is."""
    real = logits[logits.isfinite()]
    if not real.numel():
        raise Vacuous("no other row has a finite logit")
    parameters = [named for named in instance.module_or_not_checked().named_parameters() if named[1].requires_grad]
    gradients = torch.autograd.grad(real.sum(), [each for _, each in parameters], materialize_grads=True)
    bad = [name for (name, _), each in zip(parameters, gradients, strict=True) if not bool(each.isfinite().all())]
    return bad[0] if bad else ""


@checks(model.AN_EMPTY_SEQUENCE_IS_TOLD, sentence="5bd4a71c", cases=cases(q_len=(2, 3), sides=("self",)), most=4)
def test_an_empty_sequence_is_told(subject: Subject, case: Case) -> None:
    """No tokens (of an encoder-decoder: no target): an exception, or no logits."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    expected = (case.batch, 0, case.vocab)
    for grad in (False, True):
        try:
            logits = instance(inputs.taking(torch.arange(0)), grad=grad)
        except SubjectError:
            continue
        if tuple(logits.shape) != expected:
            raise Violation(
                f"a sequence of no tokens gives logits of shape {tuple(logits.shape)}, where {expected} or an exception is promised"
            )


@checks(
    model.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="21679527",
    cases=cases(masks=("none",)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all tensors of one shape alike; the logits must be the reference's, and fresh weights must not say otherwise."""
    require_the_known_output(subject, case)
