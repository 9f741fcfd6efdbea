"""Generation is watched on models that are tables: what they say after each text is written down here."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from veriformer_reference import generation
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role

END, PAD = 0, 9
DEFAULTS: Mapping[str, Any] = {
    "strategy": "greedy", "max_new_tokens": 4, "min_new_tokens": 0, "end_id": END, "pad_id": PAD, "beams": 1,
    "temperature": 1.0, "top_k": None, "top_p": None,
}  # fmt: skip


def generate(model: Callable[[Tensor], Tensor], prompt: list[list[int]], **options: Any) -> list[list[int]]:
    """The text, as lists."""
    written: list[list[int]] = build(Role.GENERATION, Config())(
        model, torch.tensor(prompt), **{**DEFAULTS, **options}
    ).tolist()
    return written


def after(table: Mapping[int, list[float]]) -> Callable[[Tensor], Tensor]:
    """A model whose probabilities for the next id depend on the last one; elsewhere it says nonsense."""

    def model(ids: Tensor) -> Tensor:
        logits = torch.full((*ids.shape, 3), math.nan)
        logits[:, -1] = torch.tensor([table.get(int(row[-1]), [1.0, 0.0, 0.0]) for row in ids]).log()
        return logits

    return model


COUNT_DOWN = after({2: [0.1, 0.8, 0.1], 1: [0.9, 0.1, 0.0]})


def seeded(ids: Tensor) -> Tensor:
    """A model of four words that answers each text differently, and the same text always the same."""
    rows = [torch.randn(4, generator=torch.Generator().manual_seed(hash(tuple(row)) % 2**31)) for row in ids.tolist()]
    return torch.stack(rows)[:, None].double() * 2


def test_greedy() -> None:
    """The likeliest id after each text, to the end token, which is kept; padding stands behind it."""
    assert generate(COUNT_DOWN, [[1, 2], [2, 1]]) == [[1, 2, 1, 0], [2, 1, 0, PAD]]


def test_lengths() -> None:
    """The third new id is the first that may be the end, and at the longest length it ends without it."""
    assert generate(COUNT_DOWN, [[1]], min_new_tokens=3) == [[1, 1, 1, 0]]
    assert generate(COUNT_DOWN, [[2]], max_new_tokens=1) == [[2, 1]]
    assert generate(COUNT_DOWN, [[2]], max_new_tokens=0) == [[2]]
    assert generate(COUNT_DOWN, [[2]], max_new_tokens=0, strategy="beam") == [[2]]
    assert generate(COUNT_DOWN, [[1]], min_new_tokens=3, strategy="beam", beams=2) == [[1, 1, 1, 0]]


def test_rows_of_beams_are_padded() -> None:
    """Two searches of different lengths stand side by side."""
    assert generate(COUNT_DOWN, [[1, 2], [2, 1]], strategy="beam", beams=2) == [[1, 2, 1, 0], [2, 1, 0, PAD]]


def test_a_beam_finds_what_greed_misses() -> None:
    """0.4 · 0.9 is more than 0.6 · 0.5, though 0.6 comes first."""
    model = after({2: [0.0, 0.6, 0.4], 1: [0.5, 0.5, 0.0]})

    def garden(ids: Tensor) -> Tensor:
        if ids.shape[1] == 1:
            return model(ids)
        return after({1: [0.5, 0.3, 0.2], 2: [0.9, 0.1, 0.0]})(ids)

    assert generate(garden, [[2]], strategy="beam", beams=1) == [[2, 1, 0]]
    assert generate(garden, [[2]], strategy="beam", beams=2) == [[2, 2, 0]]


def test_an_ended_beam_is_kept_while_others_go_on() -> None:
    """Ending at once, at 0.5, is better than all that follows; a beam that forgot it would return something longer."""
    model = after({2: [0.5, 0.3, 0.2], 1: [0.4, 0.3, 0.3]})
    assert generate(model, [[2]], strategy="beam", beams=3) == [[2, 0]]


def best_of_all(prompt: list[int], longest: int) -> list[int]:
    """Every text there is, each with its total log-probability."""
    found: dict[tuple[int, ...], float] = {}
    for length in range(1, longest + 1):
        for new in itertools.product(range(4), repeat=length):
            if END in new[:-1] or (length < longest and new[-1] != END):
                continue
            texts = [[*prompt, *new[:count]] for count in range(length)]
            rows = [torch.log_softmax(seeded(torch.tensor([text]))[0, -1], 0).tolist() for text in texts]
            found[new] = sum(row[id_] for row, id_ in zip(rows, new, strict=True))
    return [*prompt, *max(found, key=lambda new: found[new])]


@pytest.mark.parametrize("prompt", [[1], [2, 3], [3, 1, 2]])
def test_a_wide_beam_searches_all(prompt: list[int]) -> None:
    """64 beams hold every text of three words out of four."""
    assert generate(seeded, [prompt], strategy="beam", beams=64, max_new_tokens=3) == [best_of_all(prompt, 3)]


@pytest.mark.parametrize("prompt", [[1], [2, 3], [3, 1, 2]])
def test_one_beam_is_greedy(prompt: list[int]) -> None:
    """And so is a temperature of zero, or near it."""
    greedy = generate(seeded, [prompt])
    assert generate(seeded, [prompt], strategy="beam") == greedy
    for temperature in (0.0, 1e-4, 1e-300):
        assert generate(seeded, [prompt], strategy="sample", temperature=temperature) == greedy


def drawn(logits: list[float], **options: Any) -> list[float]:
    """How often each id is drawn, of 20,000."""
    torch.manual_seed(3)
    rows = torch.tensor([logits]).expand(20_000, -1)
    ids = generation.draw(rows, **{"temperature": 1.0, "top_k": None, "top_p": None, **options})
    return [count / 20_000 for count in ids.bincount(minlength=len(logits)).tolist()]


PROBABILITIES = [0.1, 0.4, 0.2, 0.3]
LOGITS = [math.log(p) + 5 for p in PROBABILITIES]


def near(expected: list[float]) -> Any:
    """Six standard deviations of 20,000 draws, at most 0.0036 each; what must never be drawn is not drawn once."""
    return [pytest.approx(p, abs=6 * 0.0036) if p else 0.0 for p in expected]


def test_draw() -> None:
    """Temperature 1 leaves the probabilities; temperature 1/2 squares them."""
    assert drawn(LOGITS) == near(PROBABILITIES)
    assert drawn(LOGITS, temperature=0.5) == near([1 / 30, 16 / 30, 4 / 30, 9 / 30])


def test_top_k() -> None:
    """The two likeliest, in proportion; more than there are is all of them; of equals no more than k."""
    assert drawn(LOGITS, top_k=2) == near([0, 4 / 7, 0, 3 / 7])
    assert drawn(LOGITS, top_k=9) == near(PROBABILITIES)
    assert sum(share > 0 for share in drawn([0.0, 0.0, 0.0], top_k=2)) == 2


def test_top_p() -> None:
    """0.4 + 0.3 is short of 0.75, and 0.2 crosses it; one id is always left; p = 1 leaves all."""
    assert drawn(LOGITS, top_p=0.75) == near([0, 4 / 9, 2 / 9, 3 / 9])
    assert drawn(LOGITS, top_p=0.0) == [0, 1, 0, 0]
    assert drawn(LOGITS, top_p=1.0) == near(PROBABILITIES)
    assert drawn(LOGITS, top_k=3, top_p=0.7) == near([0, 4 / 7, 0, 3 / 7])


def test_sampling_ends_and_pads() -> None:
    """Sampled rows stop like greedy ones."""
    torch.manual_seed(4)
    rows = generate(after({2: [0.5, 0.0, 0.5]}), [[2]] * 64, strategy="sample", max_new_tokens=8)
    assert len({row.index(END) for row in rows if END in row}) > 2
    for row in rows:
        ended = row.index(END) if END in row else len(row)
        assert set(row[:ended]) == {2}
        assert set(row[ended + 1 :]) <= {PAD}


def test_an_unknown_strategy_raises() -> None:
    """The message lists those that there are."""
    with pytest.raises(ValueError, match="strategy='contrastive' must be greedy, beam or sample"):
        generate(seeded, [[1]], strategy="contrastive")
