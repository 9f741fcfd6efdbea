"""Cache has the full pass as its witness: whatever the claims, the chunks and the padding, the logits are the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import veriformer_reference
from veriformer_reference import cache, model
from veriformer_spec.config import Config

POSITIONS = ("none", "sinusoidal", "learned", "rotary", "alibi", "relative")
CLAIMS: dict[str, dict[str, Any]] = {
    "post-norm": {},
    "pre-norm": {"norm": "pre"},
    "window": {"sliding_window": True},
    "grouped": {"kv_heads": 2, "query_key_norm": "rms", "soft_cap": 3.0, "norm": "pre"},
    "shared": {"layer_parameters": "shared", "tied": True, "embedding_norm": True},
}
MASKS = {
    "none": None,
    "left": [[0, 0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 1, 1, 1], [1] * 9],
    "interior": [[1, 0, 1, 1, 0, 0, 1, 1, 1], [1] * 9, [1, 1, 1, 0, 0, 0, 0, 1, 1]],
    "right": [[1, 1, 1, 1, 1, 1, 0, 0, 0], [1] * 9, [1, 1, 0, 0, 0, 0, 0, 0, 0]],
}
IDS = torch.randint(1, 11, (3, 9), generator=torch.Generator().manual_seed(1))


def built(**claims: Any) -> model.CausalLM:
    """A model whose weights are large enough that every token matters."""
    torch.manual_seed(6)
    made = model.CausalLM(Config(**claims)).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def read(
    own: model.CausalLM, ids: Tensor, mask: Tensor | None, chunks: list[int], state: cache.Cache | None = None
) -> tuple[Tensor, cache.Cache]:
    """The logits of all chunks, side by side, and the cache after them."""
    state = cache.start(own, len(ids), ids.shape[1]) if state is None else state
    logits, at = [], 0
    for length in chunks:
        seen = None if mask is None else mask[:, : at + length]
        new, state = cache.step(own, ids[:, at : at + length], seen, state)
        logits.append(new)
        at += length
    return torch.cat(logits, dim=1), state


@pytest.mark.parametrize("padding", MASKS)
@pytest.mark.parametrize("claims", CLAIMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_chunks_equal_the_full_pass(
    assert_agree: Callable[[Tensor, Tensor], None], positions: str, claims: str, padding: str
) -> None:
    """One by one, all at once, and in between, at every real token."""
    own = built(positions=positions, **CLAIMS[claims])
    rows = MASKS[padding]
    mask = None if rows is None else torch.tensor(rows, dtype=torch.bool)
    real = torch.ones_like(IDS, dtype=torch.bool) if mask is None else mask
    with veriformer_reference.checked(padding == "left"):  # the checks cost ten times the arithmetic
        whole = own(IDS, mask)
        for chunks in ([1] * 9, [9], [4, 2, 3]):
            assert_agree(read(own, IDS, mask, chunks)[0][real], whole[real])


def test_without_a_mask_the_past_stays_as_it_was(assert_agree: Callable[[Tensor, Tensor], None]) -> None:
    """Padding that was told once need not be told again."""
    own = built(positions="rotary")
    mask = torch.tensor([[False, True, True]] * 3)
    _, state = read(own, IDS[:, :3], mask, [3])
    told, _ = cache.step(own, IDS[:, 3:4], torch.cat((mask, torch.ones(3, 1, dtype=torch.bool)), dim=1), state)
    untold, _ = cache.step(own, IDS[:, 3:4], None, state)
    assert_agree(untold, told)


def test_a_step_leaves_the_cache_as_it_was(assert_agree: Callable[[Tensor, Tensor], None]) -> None:
    """Two runs that go on from one cache do not meet; a copy need be no copy."""
    own = built(positions="learned", norm="pre")
    _, state = read(own, IDS[:, :4], None, [4])
    before = [layer.keys.clone() for layer in state.layers]
    first, _ = cache.step(own, IDS[:, 4:6], None, state)
    cache.step(own, IDS[:, 5:8], None, cache.copy(own, state))
    again, _ = cache.step(own, IDS[:, 4:6], None, state)
    assert torch.equal(first, again)
    assert all(torch.equal(old, layer.keys) for old, layer in zip(before, state.layers, strict=True))
    assert_agree(first, own(IDS[:, :6])[:, 4:])


def test_reordering(assert_agree: Callable[[Tensor, Tensor], None]) -> None:
    """Rows may be exchanged, doubled and dropped; their padding goes with them."""
    own = built(positions="rotary")
    mask = torch.tensor([[False, True, True, True], [True] * 4, [True, False, True, True]])
    rows = torch.tensor([2, 0, 0, 1])
    _, state = read(own, IDS[:, :4], mask, [4])
    went_on, _ = cache.step(own, IDS[:, 4:][rows], None, cache.reorder(own, state, rows))
    whole = own(IDS[rows], torch.cat((mask, torch.ones(3, 5, dtype=torch.bool)), dim=1)[rows])
    assert_agree(went_on, whole[:, 4:])
