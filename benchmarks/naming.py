"""How long it takes to find weights without names, and to name a bug; two tables of docs/benchmarks.md.

A fresh declaration each time, so that nothing is remembered of the subject; what is kept of the reference's own answers is kept,
as in a run that has judged before.
"""

import statistics
import time
from typing import Any
from unittest import mock

from torch import nn

import veriformer
from veriformer import reach
from veriformer.declaration import ATTRIBUTE, Declaration
from veriformer.diagnosis import diagnose, ranking
from veriformer.faults.catalogue import FAULTS
from veriformer.mapping import Understood, automatic, matching
from veriformer.preflight import prepared

RUNS = 3


def stack(d_model: int, heads: int, layers: int) -> Declaration:
    """torch.nn's post-norm layer or encoder of one size, without a mapping: its queries, keys and values are fused."""
    sizes = veriformer.Fixed(d_model=d_model, heads=heads, kv_heads=heads, d_ff=4 * d_model, layers=layers)

    @veriformer.subject("encoder", norm="post", activation="relu", masks=["none"], positions="none", sizes=sizes)
    def build(config: veriformer.Config) -> nn.Module:
        layer = nn.TransformerEncoderLayer(config.d_model, config.heads, config.d_ff, batch_first=True, dropout=0.0)
        return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    declaration = getattr(build, ATTRIBUTE)
    assert isinstance(declaration, Declaration)
    return declaration


def _mapping_seconds(d_model: int, heads: int, layers: int) -> tuple[float, float]:
    """Of the whole search, and of the matching of rows in it."""
    subject = prepared(stack(d_model, heads, layers)).subject
    matched, spent = matching.matched, [0.0]

    def timed(*given: Any) -> Any:
        started = time.perf_counter()
        try:
            return matched(*given)
        finally:
            spent[0] += time.perf_counter() - started

    with mock.patch.object(matching, "matched", timed):
        started = time.perf_counter()
        found = automatic(subject)
        whole = time.perf_counter() - started
    if not isinstance(found, Understood):
        raise AssertionError(f"d_model={d_model}, {layers} layers: {found.reason}")  # noqa: TRY004  # a measurement, not a type
    return whole, spent[0]


def mapping() -> list[str]:
    """Rows of the mapping, by width and by depth."""
    rows = ["| d_model | heads | layers | numbers | s to find and verify every place | of which s matching rows |"]
    rows.append("|---|---|---|---|---|---|")
    for d_model, heads, layers in (
        (24, 4, 1),
        (96, 8, 1),
        (384, 12, 1),
        (768, 12, 1),
        (48, 4, 2),
        (48, 4, 6),
        (48, 4, 12),
    ):
        numbers = layers * (12 * d_model**2 + 13 * d_model)
        runs = [_mapping_seconds(d_model, heads, layers) for _ in range(RUNS)]
        whole, rows_alone = (statistics.median(each) for each in zip(*runs, strict=True))
        rows.append(f"| {d_model} | {heads} | {layers} | {numbers:,} | {whole:.2f} | {rows_alone:.2f} |")
    return rows


def _diagnosis_seconds(share: float, *, first: bool) -> tuple[float, int, str]:
    """Of an encoder layer whose heads are merged without the transpose, and the names among which it was looked for.

    Args:
        first: forget what the reference and the candidates answered, as in a process that has named nothing before.
    """
    fault = FAULTS["merge-heads-without-transpose"]
    planted = next(each for each in fault.subjects() if each.name.startswith("reference.encoder-layer"))
    kept = dict(list(FAULTS.items())[:: round(1 / share)]) | {fault.id: fault}
    subject = prepared(planted).subject
    if first:
        ranking._TABLES.clear()  # noqa: SLF001  # to measure what it saves
    with mock.patch.object(reach, "FAULTS", kept):
        started = time.perf_counter()
        said = diagnose(subject).said
        return time.perf_counter() - started, len(kept), said


def naming() -> list[str]:
    """Rows of the diagnosis, by the size of the catalogue."""
    _diagnosis_seconds(1.0, first=True)
    rows = [
        "| faults in the catalogue | s to a name, the first of its role | s to a name afterwards | said |",
        "|---|---|---|---|",
    ]
    for share in (0.125, 0.25, 0.5, 1.0):
        first = [_diagnosis_seconds(share, first=True) for _ in range(RUNS)]
        later = [_diagnosis_seconds(share, first=False) for _ in range(RUNS)]
        cold, warm = (statistics.median(each[0] for each in runs) for runs in (first, later))
        rows.append(f"| {first[0][1]} | {cold:.2f} | {warm:.2f} | {first[0][2]} |")
    return rows
