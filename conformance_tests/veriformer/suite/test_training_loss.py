"""The loss, tested: against sums by hand, and by what it must not depend on."""

import dataclasses
import math

import torch
from torch import Tensor

from veriformer import rounding, tolerance
from veriformer.case import Case
from veriformer.inputs import generator
from veriformer.outcome import Vacuous, Violation
from veriformer.property import checks
from veriformer.strategies import cases
from veriformer.subjects import Instance, Subject
from veriformer.toy_language import dice
from veriformer_spec import training


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a loss is called with, and where.

    Attributes:
        logits: ``batch time vocab``.
        targets: ``batch time``; padding wherever the mask is False, and nowhere else.
        lengths: real targets of each row, which stand first.
        pad_id: the id of padding.
    """

    logits: Tensor
    targets: Tensor
    lengths: tuple[int, ...]
    pad_id: int

    @property
    def mask(self) -> Tensor:
        """``batch time``: True at real targets."""
        places = torch.arange(self.targets.shape[1], device=self.targets.device)
        return places < torch.tensor(self.lengths, device=self.targets.device)[:, None]


def batch_of(subject: Subject, case: Case, *, padded: bool = True) -> Batch:
    """Logits, and targets of rows of different lengths; without padding, all as long as they can be."""
    random, rolls = generator(case.seed), dice(case.seed)
    shape = (case.batch, case.q_len)
    shortest = 2 if subject.claims["shifts"] else 1
    # the first row has no padding, so that no column is all padding; the second has some
    lengths = [case.q_len, rolls.randint(shortest, case.q_len - 1)]
    lengths += [rolls.randint(shortest, case.q_len) for _ in range(case.batch - 2)]
    pad_id = rolls.choice((0, case.vocab - 1))
    ids = torch.randint(0, case.vocab - 1, shape, generator=random) + (pad_id == 0)
    batch = Batch(
        logits=(2 * torch.randn(*shape, case.vocab, generator=random, dtype=torch.float64)).to(subject.device),
        targets=ids.to(subject.device),
        lengths=tuple(lengths[: case.batch]) if padded else (case.q_len,) * case.batch,
        pad_id=pad_id,
    )
    logits = batch.logits.to(subject.dtype)
    return dataclasses.replace(batch, logits=logits, targets=batch.targets.masked_fill(~batch.mask, pad_id))


def built(subject: Subject, case: Case, batch: Batch, share: float = 0.0) -> Instance:
    """The subject, told which id is padding and how much label smoothing spreads."""
    return subject.instance(case, changes={"label_smoothing": share, "pad_id": batch.pad_id, "vocab": case.vocab})


def loss_of(instance: Instance, batch: Batch, *, logits: Tensor | None = None) -> Tensor:
    """The subject's loss, as a number; ``logits`` in place of the batch's own, where a gradient is asked for."""
    given = batch.logits.clone() if logits is None else logits
    output = instance.raw(given, batch.targets.clone(), batch.mask)
    if not isinstance(output, Tensor) or output.numel() != 1:
        said = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise Violation(f"the loss is {said}, where one number is promised")
    return output.reshape(())


def pairs(subject: Subject, batch: Batch) -> list[tuple[int, int, int]]:
    """Row, position of the logits and target id, for each real target that has logits."""
    behind = 1 if subject.claims["shifts"] else 0
    ids = batch.targets.tolist()
    return [
        (row, place - behind, ids[row][place])
        for row, length in enumerate(batch.lengths)
        for place in range(behind, length)
    ]


def by_hand(subject: Subject, batch: Batch, share: float = 0.0, *, others_only: bool = False) -> float:
    """The mean over real targets of minus the expected log-probability, one number after the other.

    Args:
        share: of the expectation, spread over the classes.
        others_only: it is spread over all classes but the right one.
    """
    logits = batch.logits.double().tolist()
    costs = []
    for row, place, target in pairs(subject, batch):
        scores = logits[row][place]
        total = math.log(math.fsum(math.exp(score) for score in scores))
        nats = [total - score for score in scores]
        right = nats[target]
        spread = (math.fsum(nats) - right) / (len(nats) - 1) if others_only else math.fsum(nats) / len(nats)
        costs.append((1 - share) * right + share * spread)
    return math.fsum(costs) / len(costs)


def require_loss(instance: Instance, batch: Batch, expected: float, message: str) -> None:
    """Fail unless the loss is ``expected``, within rounding."""
    _require_same(instance, batch, loss_of(instance, batch), torch.tensor(expected, dtype=torch.float64), message)


@checks(
    training.LOSS_EQUALS_ITS_EQUATION,
    sentence="dde009c1",
    cases=cases(batch=(2, 4), q_len=(3, 6), vocab=(4, 11)),
)
def test_the_loss_is_the_mean_over_real_tokens(subject: Subject, case: Case) -> None:
    """Rows of different lengths, without label smoothing: each token counts the same, and padding nothing."""
    batch = batch_of(subject, case)
    require_loss(built(subject, case, batch), batch, by_hand(subject, batch), "not the mean over real targets")


@checks(
    training.LOSS_EQUALS_ITS_EQUATION,
    sentence="dde009c1",
    cases=cases(batch=(1, 1), q_len=(3, 5), vocab=(4, 11)),
    most=8,
)
def test_one_real_token_has_a_mean_too(subject: Subject, case: Case) -> None:
    """One row, one real target: alone, and with padding behind it."""
    length = 2 if subject.claims["shifts"] else 1
    whole = batch_of(subject, case, padded=False)
    padded = dataclasses.replace(whole, lengths=(length,))
    padded = dataclasses.replace(padded, targets=whole.targets.masked_fill(~padded.mask, whole.pad_id))
    alone = dataclasses.replace(padded, logits=padded.logits[:, :length], targets=padded.targets[:, :length])
    for batch in (alone, padded):
        require_loss(built(subject, case, batch), batch, by_hand(subject, batch), "not the cost of the one real target")


@checks(
    training.LABEL_SMOOTHING_EQUALS_ITS_EQUATION,
    sentence="a545129d",
    cases=cases(batch=(2, 3), q_len=(3, 5), vocab=(2, 11)),
)
def test_label_smoothing_equals_its_equation(subject: Subject, case: Case) -> None:
    """At two shares, as claimed."""
    batch = batch_of(subject, case)
    others_only = subject.claims["smoothing"] == "other-classes"
    for share in (0.1, dice(case.seed, "share").uniform(0.2, 0.6)):
        expected = by_hand(subject, batch, share, others_only=others_only)
        message = f"with label smoothing {share:.2g} over {subject.claims['smoothing']}, not the expected cost"
        require_loss(built(subject, case, batch, share), batch, expected, message)


DISTANCES = (-1, 0, 1, 2)
"""How far a logit may be from its target: shifted back, not at all, by one, twice."""


@checks(
    training.TARGETS_ARE_SHIFTED_BY_ONE,
    sentence="e3182fbd",
    cases=cases(batch=(1, 3), q_len=(4, 6), vocab=(5, 11)),
)
def test_targets_are_shifted_by_one(subject: Subject, case: Case) -> None:
    """Without padding: logits that foretell the id at some distance cost least at the right one, whatever a nat is taken for.

    Four words in turn make the distances different. And where the loss shifts, the last logits and the first id have no partner.
    """
    rolls = dice(case.seed)
    batch = batch_of(subject, case, padded=False)
    words = [each for each in range(case.vocab) if each != batch.pad_id]
    turns = [rolls.sample(words, len(DISTANCES)) for _ in range(case.batch)]
    rows = [[turn[place % len(DISTANCES)] for place in range(case.q_len)] for turn in turns]
    batch = dataclasses.replace(batch, targets=torch.tensor(rows, device=subject.device))
    instance = built(subject, case, batch)
    right = 1 if subject.claims["shifts"] else 0
    with torch.no_grad():
        costs = {each: float(loss_of(instance, _foretelling(batch, each))) for each in DISTANCES}
    cheapest = min(costs, key=costs.__getitem__)
    if cheapest != right or not math.isfinite(costs[right]):
        raise Violation(
            f"logits are set against the target {cheapest} positions on, and should be set against the one {right} on",
            margin=", ".join(f"{distance}: {cost:.3g} nats" for distance, cost in costs.items()),
        )
    if not right:
        return
    base = loss_of(instance, batch)
    logits, ids = batch.logits.clone(), batch.targets.clone()
    logits[:, -1] = 3 - logits[:, -1].flip(-1)
    _require_same(
        instance, batch, loss_of(instance, batch, logits=logits), base, "the last logits, which foretell nothing, count"
    )
    ids[:, 0] = torch.tensor([turn[-1] for turn in turns], device=ids.device)
    other = loss_of(instance, dataclasses.replace(batch, targets=ids))
    _require_same(instance, batch, other, base, "the first id, which nothing foretells, counts")


def _foretelling(batch: Batch, distance: int) -> Batch:
    """The same targets, with logits that are sure of the id so many positions on."""
    logits = torch.zeros_like(batch.logits)
    for row, ids in enumerate(batch.targets.tolist()):
        for place, target in enumerate(ids):
            if 0 <= place - distance < len(ids):
                logits[row, place - distance, target] = 9.0
    return dataclasses.replace(batch, logits=logits)


@checks(
    training.LOSS_IGNORES_PADDING,
    sentence="13f570f4",
    cases=cases(batch=(2, 3), q_len=(3, 5), vocab=(4, 11)),
)
def test_the_loss_ignores_padding(subject: Subject, case: Case) -> None:
    """Other logits at padding, more padding, less of it: the loss stays; and padding's logits get no gradient."""
    batch = batch_of(subject, case)
    instance = built(subject, case, batch, 0.0 if subject.claims["smoothing"] == "none" else 0.1)
    counted = torch.zeros_like(batch.mask)
    for row, place, _ in pairs(subject, batch):
        counted[row, place] = True
    if bool(counted.all()):
        raise Vacuous("there is no padding")
    with torch.no_grad():
        base = loss_of(instance, batch)
        other = torch.where(counted[..., None], batch.logits, 7 - 3 * batch.logits)
        apart = loss_of(instance, dataclasses.replace(batch, logits=other))
    _require_same(instance, batch, apart, base, "the loss changes with the logits of padding")
    with torch.no_grad():
        wider = loss_of(instance, _wider(batch, 3))
    _require_same(instance, batch, wider, base, "the loss changes with three more columns of padding")
    logits = batch.logits.clone().requires_grad_()
    with torch.enable_grad():
        loss = loss_of(instance, batch, logits=logits)
        if not loss.requires_grad:
            raise Violation("the loss records no gradient: it could not train anything")
        (gradient,) = torch.autograd.grad(loss, logits)
    if bool((gradient[~counted] != 0).any()):
        row, place = (int(each) for each in ((gradient != 0).any(-1) & ~counted).nonzero()[0])
        raise Violation(
            "the logits of padding get a gradient", got=gradient[row, place], index=(row, place),
            margin=f"{float(gradient[row, place].abs().max()):.3g}, where exactly zero is expected",
        )  # fmt: skip


def _wider(batch: Batch, columns: int) -> Batch:
    """The same batch with more padding behind it."""
    more = batch.logits.new_ones(*batch.logits.shape[:1], columns, batch.logits.shape[2])
    padding = batch.targets.new_full((len(batch.lengths), columns), batch.pad_id)
    return dataclasses.replace(
        batch, logits=torch.cat((batch.logits, more), 1), targets=torch.cat((batch.targets, padding), 1)
    )


def _require_same(instance: Instance, batch: Batch, got: Tensor, expected: Tensor, message: str) -> None:
    """Fail unless two losses agree within the rounding of the call; much correct code goes through float32 here."""
    with torch.no_grad():
        rounds_to = rounding.of_call(instance.subject, lambda: loss_of(instance, batch))
        again = (lambda: loss_of(instance, batch)[None]) if instance.subject.dtype is torch.float64 else None
        tolerance.require_close(got.detach()[None], expected[None], message, dtype=rounds_to, again=again)
