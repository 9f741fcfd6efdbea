"""Position, tested: the table of positions, sinusoidal or learned."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from veriformer import oracle, tolerance
from veriformer.bare_stack import sinusoidal_table
from veriformer.case import Case
from veriformer.inputs import generator, normal
from veriformer.known_output import require_the_known_output
from veriformer.outcome import NotChecked, SubjectError, Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.weights import trainable
from veriformer_spec import position

SEQUENCES = cases(batch=(2, 3), q_len=(3, 8), d_model=(2, 9))
"""Odd numbers of features too, and two features, which are one sine and one cosine."""
LONGEST_TABLE = 10_000
"""Rows beyond which a table is not overrun to see what happens."""


def encoded(instance: Instance, case: Case, x: Tensor) -> Tensor:
    """What the subject returns for these tokens."""
    return instance(dataclasses.replace(instance.subject.inputs(case), tensors=(x,)))


def nothing(subject: Subject, case: Case, *, length: int | None = None) -> Tensor:
    """Tokens of zeros, to which only the encoding is added."""
    return torch.zeros(case.batch, length or case.q_len, case.d_model, dtype=subject.dtype, device=subject.device)


def rounded_table(length: int, d_model: int) -> Tensor:
    """The table in tensor arithmetic, of which noise measures how far rounding goes."""
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    features = torch.arange(d_model)
    angles = positions / 10000 ** (2 * (features // 2) / d_model)
    return torch.where(features % 2 == 0, angles.sin(), angles.cos())


@checks(position.SINUSOIDAL_EQUALS_THE_TABLE, sentence="08c01f6c", cases=SEQUENCES)
def test_sinusoidal_equals_the_table(subject: Subject, case: Case) -> None:
    """The output for tokens of zeros is the table, computed with Python's own sine and cosine."""
    got = encoded(subject.instance(case), case, nothing(subject, case)).double().cpu()
    expected = sinusoidal_table(case.q_len, case.d_model).expand(case.batch, -1, -1)

    def again() -> Tensor:
        return rounded_table(case.q_len, case.d_model).expand(case.batch, -1, -1)

    try:
        tolerance.require_close(got, expected, "the encoding is not the table", dtype=subject.rounds_to, again=again)
    except Violation as seen:
        if got.shape == expected.shape:
            apart = [words for words, table in _tempting(case) if bool((got - table).abs().max() < 1e-4)]
            if apart:
                seen.behaves_as(apart[:1])
        raise


def _tempting(case: Case) -> list[tuple[str, Tensor]]:
    """Tables that are written by mistake."""
    length, d_model = case.q_len, case.d_model
    right = sinusoidal_table(length, d_model)
    halves = torch.cat((right[:, 0::2], right[:, 1::2]), dim=-1)
    positions, features = torch.arange(length, dtype=torch.float64)[:, None], torch.arange(d_model)
    each = positions / 10000 ** (features / d_model)
    twice = positions / 10000 ** (4 * (features // 2) / d_model)
    growing = positions * 10000 ** (2 * (features // 2) / d_model)

    def in_turns(angles: Tensor) -> Tensor:
        return torch.where(features % 2 == 0, angles.sin(), angles.cos())

    return [
        ("all sines first and all cosines after", halves),
        ("a cosine first and a sine after", torch.where(features % 2 == 0, right.roll(-1, -1), right.roll(1, -1))),
        ("an exponent of i/d_model for every feature", in_turns(each)),
        ("an exponent of 4i/d_model", in_turns(twice)),
        ("a frequency multiplied where it divides", in_turns(growing)),
        ("a base of 1000", sinusoidal_table(length, d_model, base=1000.0)),
        ("a base of 100", sinusoidal_table(length, d_model, base=100.0)),
        ("a base of 100000", sinusoidal_table(length, d_model, base=100000.0)),
        ("a base of 500000", sinusoidal_table(length, d_model, base=500000.0)),
        ("positions that count from one", sinusoidal_table(length, d_model, start=1)),
        ("the table added twice", 2 * right),
        ("nothing added", torch.zeros_like(right)),
        ("the first row for every position", right[:1].expand_as(right)),
    ]


@checks(position.FIRST_POSITION_IS_SINE_OF_ZERO, sentence="c9882a06", cases=SEQUENCES)
def test_first_position_is_sine_of_zero(subject: Subject, case: Case) -> None:
    """A token of zeros at the first position comes out as 0, 1, 0, 1, ..."""
    first = encoded(subject.instance(case), case, nothing(subject, case))[:, 0].double().cpu()
    expected = torch.tensor([float(feature % 2) for feature in range(case.d_model)], dtype=torch.float64).expand_as(
        first
    )
    tolerance.require_close(first, expected, "the first position is not 0, 1, 0, 1, ...", dtype=subject.rounds_to)


@checks(position.SAME_FOR_EVERY_ROW, sentence="0e629ea8", cases=SEQUENCES)
def test_same_for_every_row(subject: Subject, case: Case) -> None:
    """Tokens of zeros: all rows of the batch come out alike, and no two positions do."""
    table = encoded(subject.instance(case), case, nothing(subject, case))
    if not bool(table.isfinite().all()):
        raise Vacuous("the output is not finite")
    tolerance.require_close(
        table, table[:1].expand_as(table), "rows of the batch get different encodings", dtype=subject.rounds_to
    )
    apart = (table[0, :, None] - table[0, None, :]).abs().amax(-1) + torch.eye(
        case.q_len, dtype=table.dtype, device=table.device
    )
    same = apart <= tolerance.units(subject.rounds_to) * tolerance.floor(table, subject.rounds_to)
    if bool(same.any()):
        one, other = (int(each) for each in same.nonzero()[0])
        raise Violation(
            f"positions {one} and {other} get the same encoding",
            expected=table[0, one],
            got=table[0, other],
            index=(one, other),
        )


@checks(position.ADDED_ONCE, sentence="5b1f6edc", cases=SEQUENCES)
def test_encoding_is_added_once(subject: Subject, case: Case) -> None:
    """The output is the input plus what comes out for tokens of zeros."""
    instance, x = subject.instance(case), subject.inputs(case).tensors[0] * 3
    table = encoded(instance, case, nothing(subject, case))
    got = encoded(instance, case, x)
    if not bool(got.isfinite().all()):
        raise Vacuous("the output is not finite")
    message = "the output is not the input plus a table that does not depend on it"
    try:
        tolerance.require_close(got, x + table, message, dtype=subject.rounds_to)
    except Violation as seen:
        factor = ((got - table) / x).flatten()
        if bool((factor - factor[0]).abs().max() < 1e-6):
            seen.behaves_as([f"the input multiplied by {float(factor[0]):.4g}"])
        raise
    _require_once(instance, case, table)


def _require_once(instance: Instance, case: Case, table: Tensor) -> None:
    """A sine and its cosine have squares that sum to one; a learned row has a gradient of one."""
    if not bool(table.any()):
        raise Violation("nothing is added: tokens of zeros come out as zeros", got=table[0, 0])
    if instance.config.encoding == "sinusoidal":
        if case.d_model % 2 == 0:
            size = float(table.double().square().sum() / (case.batch * case.q_len * case.d_model / 2))
            if abs(size - 4) < 1e-3:
                raise Violation(
                    "the table is added twice", margin="the squares of each sine and its cosine sum to 4, not to 1"
                )
        return
    parameters = [each for _, each in trainable(instance.module_or_not_checked())]
    inputs = dataclasses.replace(instance.subject.inputs(case), tensors=(nothing(instance.subject, case),))
    output = instance(inputs, grad=True)
    if not parameters or not output.requires_grad:
        return
    gradients: Sequence[Tensor | None] = torch.autograd.grad(output[0, :, 0].sum(), parameters, allow_unused=True)
    values = torch.cat([each[each != 0].flatten() for each in gradients if each is not None])
    if len(values) == case.q_len and bool((values == 2).all()):
        raise Violation("the learned table is added twice", margin="every row has a gradient of 2")


@checks(position.ADDED_ONCE, sentence="5b1f6edc", cases=SEQUENCES, needs_weights=True)
def test_encoding_is_added_once_by_the_reference(subject: Subject, case: Case) -> None:
    """With the subject's table, if it has one, the reference gives the same."""
    if subject.claims["encoding"] == "sinusoidal":
        raise NotChecked("a sinusoidal table has no weights; the other witnesses compute it")
    instance, inputs = subject.instance(case), subject.inputs(case)
    oracle.require_equals_the_reference(instance, inputs, "the output is not the input plus the subject's own table")


@checks(
    position.POSITIONS_BREAK_PERMUTATION_SYMMETRY,
    sentence="693348fd",
    cases=cases(batch=(1, 2), q_len=(3, 5), d_head=(3, 4), layers=(1, 2), sides=("self",)),
)
def test_positions_break_permutation_symmetry(subject: Subject, case: Case) -> None:
    """Put the last token first: with positions, the last output does not merely come first.

    Reversing them would show nothing of a bias that is the same in both directions.
    """
    instance, inputs = subject.instance(case), subject.inputs(case)
    order = torch.arange(case.q_len).roll(1)
    if bool((inputs.tensors[0] == inputs.tensors[0][..., :1, :]).all()):
        raise Vacuous("all tokens are the same word")
    before = instance(inputs)[:, order.to(subject.device)]
    after = instance(inputs.taking(order, order))
    apart = float((before - after).abs().max())
    if apart <= 1e3 * tolerance.floor(before, subject.rounds_to):
        raise Violation(
            f"tokens in the order {order.tolist()} merely give the outputs in that order: no positions are added",
            expected=before[0, 0],
            got=after[0, 0],
        )


@checks(position.LEARNED_ROWS_FOLLOW_THE_INDEX, sentence="88700c32", cases=SEQUENCES)
def test_learned_rows_follow_the_index(subject: Subject, case: Case) -> None:
    """A longer sequence starts with the same encodings."""
    short = encoded(subject.instance(case), case, nothing(subject, case, length=case.q_len - 1))
    long = encoded(subject.instance(case), case, nothing(subject, case))[:, :-1]
    if short.shape != long.shape:
        raise Violation(f"shape {tuple(short.shape)} for a sequence of {case.q_len - 1}")
    if not bool((long != long[:, :1]).any()) or not bool(long.isfinite().all()):
        raise Vacuous("every position gets the same, or what is not finite")
    tolerance.require_close(
        short, long, f"a position's encoding changes when the sequence grows to {case.q_len}", dtype=subject.rounds_to
    )


@checks(position.LEARNED_POSITIONS_ARE_TRAINED, sentence="f2b7f6da", cases=SEQUENCES, most=10)
def test_learned_positions_are_trained(subject: Subject, case: Case) -> None:
    """The output at each position has a gradient towards the parameters, and no two positions have the same."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    parameters = [each for _, each in trainable(instance.module_or_not_checked())]
    if not parameters:
        raise Violation("a learned table is claimed, but the subject has no trainable parameter")
    output = instance(inputs, grad=True)
    if not output.requires_grad:
        raise Violation("the output has no gradient towards any parameter: the table is cut off from the graph")
    direction = normal((case.d_model,), generator(case.seed), output.dtype, output.device)
    seen: list[Tensor] = []
    for index in range(case.q_len):
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            (output[0, index] * direction).sum(), parameters, allow_unused=True, retain_graph=True
        )
        flat = torch.cat(
            [
                torch.zeros_like(each).flatten() if gradient is None else gradient.flatten()
                for each, gradient in zip(parameters, gradients, strict=True)
            ]
        )
        if not bool((flat != 0).any()):
            raise Violation(f"position {index} gets no gradient: its row is never trained", index=(0, index))
        for other, earlier in enumerate(seen):
            if torch.equal(earlier, flat):
                raise Violation(f"positions {other} and {index} train the same row", index=(0, index))
        seen.append(flat)


@checks(position.BEYOND_THE_MAXIMUM_RAISES, sentence="a5fcf47d", cases=SEQUENCES, most=5)
def test_beyond_the_maximum_raises(subject: Subject, case: Case) -> None:
    """One token more than the table has rows raises."""
    if subject.device.type != "cpu":
        raise NotChecked("an index beyond a table ends the process on this device; checked on the CPU")
    instance = subject.instance(case)
    sizes = [axis for _, each in trainable(instance.module_or_not_checked()) for axis in each.shape]
    if not sizes or max(sizes) > LONGEST_TABLE:
        raise NotChecked("no table with a row for each position was found")
    length = max(*sizes, instance.config.max_len) + 1  # whichever axis of whichever parameter counts positions
    try:
        encoded(instance, case, nothing(subject, case, length=length))
    except SubjectError:
        return
    raise Violation(f"a sequence of {length} passes, and no parameter has a row for each of its positions")


@checks(position.STALE_TABLES_ARE_NEVER_USED, sentence="fd8a4180", cases=SEQUENCES)
def test_stale_tables_are_never_used(subject: Subject, case: Case) -> None:
    """After a shorter call, a longer one and one in another dtype, the output is a fresh subject's."""
    instance, inputs = subject.instance(case), subject.inputs(case)
    fresh = instance(inputs)
    if bool((fresh == inputs.tensors[0]).all()) or not bool((fresh != fresh[:1, :1]).any()):
        raise Vacuous("nothing is added, or the output is the same everywhere")
    if not bool(fresh.isfinite().all()):
        raise Vacuous("the output is not finite")
    for name, before in (
        ("shorter", nothing(subject, case, length=1)),
        ("longer", nothing(subject, case, length=case.q_len + 2)),
        ("smaller", nothing(subject, case)[:1]),
        ("float32", nothing(subject, case).float()),
    ):
        used = subject.instance(case)
        try:
            encoded(used, case, before)
        except SubjectError:
            continue  # a call of that kind is another clause's matter
        try:
            after = used(inputs)
        except SubjectError as error:
            raise Violation(f"after a {name} call the same call raises: {error}") from error
        tolerance.require_close(after, fresh, f"after a {name} call the encoding is another", dtype=subject.rounds_to)


@checks(
    position.SYMMETRIC_WEIGHTS_GIVE_THE_KNOWN_OUTPUT,
    sentence="9223ba42",
    cases=cases(batch=(1, 2), q_len=(2, 5)),
    needs_weights=True,
    most=4,
)
def test_symmetric_weights_give_the_known_output(subject: Subject, case: Case) -> None:
    """Fill all rows alike; the output must be the reference's, and fresh rows must not say otherwise."""
    require_the_known_output(subject, case)
