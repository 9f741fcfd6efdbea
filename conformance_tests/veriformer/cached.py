"""Cached runs: a causal language model that reads a text in chunks, beside one pass over the whole."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from veriformer import tolerance
from veriformer.calls import described, twin
from veriformer.case import Case
from veriformer.inputs import PAD_ID, generator
from veriformer.outcome import SubjectError, Violation
from veriformer.precision import LeakWatch
from veriformer.subjects import Instance, Subject

Mask = Tensor
"""``batch time``, True at real tokens."""


@dataclasses.dataclass(frozen=True)
class Text:
    """What is read: ids, and which of them are real.

    Attributes:
        ids: ``batch time``.
        mask: None where all tokens are real and none is passed.
    """

    ids: Tensor
    mask: Mask | None = None

    @property
    def batch(self) -> int:
        """Rows."""
        return self.ids.shape[0]

    @property
    def length(self) -> int:
        """Tokens in a row, padding among them."""
        return self.ids.shape[1]

    def real(self) -> Mask:
        """The mask, written out."""
        return torch.ones_like(self.ids, dtype=torch.bool) if self.mask is None else self.mask

    def until(self, end: int) -> "Text":
        """The first ``end`` tokens."""
        return Text(self.ids[:, :end], None if self.mask is None else self.mask[:, :end])

    def after(self, start: int) -> "Text":
        """What follows the first ``start`` tokens."""
        return Text(self.ids[:, start:], None if self.mask is None else self.mask[:, start:])

    def rows(self, rows: Tensor) -> "Text":
        """The rows in ``rows``, in that order and as often as they stand there."""
        return Text(self.ids[rows], None if self.mask is None else self.mask[rows])

    def then(self, other: "Text") -> "Text":
        """Both, one after the other."""
        mask = None if self.mask is None and other.mask is None else torch.cat((self.real(), other.real()), 1)
        return Text(torch.cat((self.ids, other.ids), 1), mask)

    def without_padding(self, row: int) -> "Text":
        """The real tokens of one row, alone."""
        return Text(self.ids[row : row + 1, self.real()[row]])


def drawn(subject: Subject, case: Case, seed: int, *, length: int | None = None, batch: int | None = None) -> Text:
    """A text of real tokens; of an even seed, and where the vocabulary is large enough, with no token twice in a row."""
    rows, time = batch or case.batch, case.q_len if length is None else length
    random = generator(seed)
    if seed % 2 == 0 and time < case.vocab:
        order = torch.stack([torch.randperm(case.vocab - 1, generator=random)[:time] for _ in range(rows)])
        return Text((PAD_ID + 1 + order).to(subject.device))
    return Text(torch.randint(PAD_ID + 1, case.vocab, (rows, time), generator=random).to(subject.device))


def padded(text: Text, side: str, seed: int) -> Text:
    """Some tokens of some rows made padding, on the side that is named; every row keeps one real token or more, and one row all.

    Interior padding leaves a row's first token and, where there is room, its last one real.
    """
    random, real = generator(seed), torch.ones(text.ids.shape, dtype=torch.bool)
    for row in range(text.batch):
        if text.batch > 1 and row == seed % text.batch:
            continue
        hidden = int(torch.randint(1, max(2, text.length - 1), (1,), generator=random))
        if side == "left":
            real[row, :hidden] = False
        elif side == "right":
            real[row, text.length - hidden :] = False
        else:
            inner = 1 + torch.randperm(max(text.length - 2, 0), generator=random)[: max(1, hidden // 2)]
            real[row, inner] = False
    mask = real.to(text.ids.device)
    return Text(text.ids.masked_fill(~mask, PAD_ID), mask)


def composition(length: int, seed: int, *, first: int = 1) -> list[int]:
    """Chunk sizes that add up to ``length``, each composition as likely as any other, from a first chunk of ``first`` or more."""
    cuts = torch.rand(max(length - first, 0), generator=generator(seed)) < 0.5
    ends = [first + index for index, cut in enumerate(cuts.tolist()) if cut]
    return sizes_between([*ends, length])


def sizes_between(ends: Sequence[int]) -> list[int]:
    """The sizes of chunks that end there."""
    return [end - start for start, end in zip([0, *ends], ends, strict=False) if end > start]


@dataclasses.dataclass
class Reader:
    """One run that reads chunk by chunk.

    Attributes:
        read_so_far: what was read, None before the first chunk.
        state: what the subject's own step returned.
    """

    instance: Instance
    state: Any
    read_so_far: Text | None = None

    @classmethod
    def begins(cls, instance: Instance, batch: int, longest: int) -> "Reader":
        """A run of which nothing is read yet."""
        with torch.no_grad():
            return cls(instance, instance.steps.start(instance.module, batch, longest))

    def read(self, chunk: Text) -> Tensor:
        """The logits at the next tokens.

        Raises:
            SubjectError: the step raised, or did not return a tensor and a state.
            Violation: the logits are not one row of the vocabulary for each new token.
        """
        text = chunk if self.read_so_far is None else self.read_so_far.then(chunk)
        mask = None if text.mask is None else text.mask.clone()
        with torch.no_grad():
            result: Any = self.instance.steps.step(self.instance.module, chunk.ids.clone(), mask, self.state)
        if not isinstance(result, tuple | list) or len(result) != 2 or not isinstance(result[0], Tensor):
            raise SubjectError(f"step returned {described(result)} where (logits, state) is promised", origin="call")
        logits, self.state = result[0].clone(), result[1]
        promised = (*chunk.ids.shape, self.instance.config.vocab)
        if tuple(logits.shape) != promised:
            raise Violation(f"step returned logits of shape {tuple(logits.shape)} for new ids, expected {promised}")
        self.read_so_far = text
        return logits

    def copy(self) -> "Reader":
        """Another run that goes on from here."""
        assert self.instance.steps.copy is not None
        with torch.no_grad():
            copied = self.instance.steps.copy(self.instance.module, self.state)
        return Reader(self.instance, copied, self.read_so_far)

    def reorder(self, rows: Tensor) -> None:
        """Go on with the rows in ``rows``."""
        assert self.instance.steps.reorder is not None
        assert self.read_so_far is not None
        with torch.no_grad():
            self.state = self.instance.steps.reorder(self.instance.module, self.state, rows.clone())
        self.read_so_far = self.read_so_far.rows(rows)

    def read_all(self, text: Text, sizes: Sequence[int]) -> Tensor:
        """The logits at all tokens of ``text``, read in chunks of these sizes."""
        return torch.cat([self.read(chunk) for chunk in chunks(text, sizes)], dim=1)


def chunks(text: Text, sizes: Sequence[int]) -> Iterator[Text]:
    """``text`` cut into pieces of these sizes; a mask stays with all pieces or none."""
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        yield Text(text.ids[:, part], None if text.mask is None else text.mask[:, part])
        start += size


def read(instance: Instance, text: Text, sizes: Sequence[int], *, longest: int | None = None) -> Tensor:
    """The logits of a run that reads ``text`` in chunks of these sizes, from an empty cache."""
    return Reader.begins(instance, text.batch, longest or text.length).read_all(text, sizes)


def whole(instance: Instance, text: Text) -> Tensor:
    """The logits of one pass over ``text``, without a cache.

    Raises:
        SubjectError: the call raised, or returned no tensor.
    """
    with torch.no_grad():
        logits = instance.raw(text.ids.clone(), None if text.mask is None else text.mask.clone())
    if not isinstance(logits, Tensor):
        raise SubjectError(f"call returned {described(logits)} where a tensor is promised", origin="call")
    return logits.clone()


class Fresh:
    """Makes instances with the same weights that were never called: what one run leaves behind is another clause's matter."""

    def __init__(self, subject: Subject, case: Case) -> None:
        self.subject, self.case = subject, case
        self.first = subject.instance(case)

    def __call__(self) -> Instance:
        """One more."""
        return twin(self.first, self.subject.instance(self.case))


def require_same(
    subject: Subject,
    got: Tensor,
    expected: Tensor,
    message: str,
    *,
    again: Callable[[], Tensor],
    cached: Callable[[], Any],
) -> None:
    """Fail where two runs' logits differ by more than rounding explains.

    Args:
        instance: whose precision is allowed for.
        again: computes ``expected`` anew.
        cached: makes the cached run anew: a cache that is kept in a narrower dtype rounds, which is another clause's matter.

    Raises:
        Violation: they do.
    """
    dtype = subject.rounds_to
    try:
        tolerance.require_close(got, expected, message, dtype=dtype, again=again)
    except Violation:
        narrow = narrowest(cached, dtype)
        if narrow is dtype:
            raise
        tolerance.require_close(got, expected, message, dtype=narrow, again=again)


def leaks(run: Callable[[], Any]) -> list[str]:
    """Where a float64 run loses digits, in words."""
    watch = LeakWatch()
    with watch:
        run()
    return watch.leaks


def narrowest(run: Callable[[], Any], dtype: torch.dtype) -> torch.dtype:
    """The narrowest dtype that a float64 run rounds to."""
    if dtype is torch.float64:
        said = " ".join(leaks(run))
        for narrow in (torch.bfloat16, torch.float16, torch.float32):
            if f" {str(narrow).removeprefix('torch.')}" in said:
                return narrow
    return dtype
