"""Other legal claims: what a subject may claim in place of what it does, asked wherever an output is not the claimed one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from veriformer_spec.config import CLAIMS, FIELDS, Config
from veriformer_spec.role import LAYERED, Role

OTHER_EPS: Final = (1e-5, 1e-6, 1e-12, 1e-8, 1e-7, 1e-4, 1e-3, 0.0, 1e-9, 1e-10, 1e-2, 0.1, 1.0)
"""Values of eps that are in use, or are tempting."""
_USUAL: Final[Mapping[str, tuple[object, ...]]] = {
    "eps": OTHER_EPS,
    "soft_cap": (50.0, 30.0, 20.0),
    "rotary_base": (10000.0, 500000.0, 1000000.0),
}
"""Values in use of claims that take any number."""
_PASSED: Final = frozenset({
    "kv_heads", "dropout", "computes_in", "masks", "padding_sides", "padding_row", "strategies", "nothing_visible", "padded_rows",
})  # fmt: skip
"""Claims that do not change what the reference computes at one call, or that change what may be passed to it."""
_OPEN: Final = frozenset({"unspecified", "as-placed", "folded"})
"""Values that are another value, or any."""


def other_claims(role: Role, claims: Mapping[str, Any], config: Config) -> Iterator[tuple[str, object]]:
    """Every other value of every claim that would change what the reference of this role computes, one at a time."""
    for name, claimed in claims.items():
        if name not in FIELDS or name in _PASSED or _means_nothing(name, claims, config):
            continue
        fixed = name == "causal" and CLAIMS[name].default_for(role) != CLAIMS[name].default
        current = config.ends_in_norm if name == "final_norm" else claimed
        for value in () if fixed else dict.fromkeys((*CLAIMS[name].values, *_USUAL.get(name, ()))):
            same = value == current and isinstance(value, bool) == isinstance(current, bool)
            if not same and value not in _OPEN and not (name == "positions" and _impossible(value, role, config)):
                yield name, value


def _means_nothing(name: str, claims: Mapping[str, Any], config: Config) -> bool:
    """Whether another claim leaves this one without a meaning."""
    if name.startswith("rotary_"):
        return bool(claims.get("positions", "rotary") != "rotary")
    return name == "sliding_window" and not config.causal


def _impossible(positions: object, role: Role, config: Config) -> bool:
    """Whether the role cannot have these positions: tables stand below a stack, and pairs need an even ``d_head``."""
    if positions in ("sinusoidal", "learned"):
        return role not in LAYERED
    return positions == "rotary" and bool(config.d_head % 2)
