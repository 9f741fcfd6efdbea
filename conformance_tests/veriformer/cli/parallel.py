"""The matrix in several processes: each fault is judged on its own, so they can be dealt out."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterator, Sequence

from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
from veriformer.faults.matrix import Row, fault_rows, near_miss_row
from veriformer.judge import one_thread


def rows_of(names: Sequence[str], jobs: int) -> Iterator[list[Row]]:
    """The rows of each fault and near-miss named, in that order."""
    if jobs <= 1 or not hasattr(os, "fork"):
        yield from map(rows, names)
        return
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=one_thread) as pool:
        yield from pool.map(rows, names)


def rows(name: str) -> list[Row]:
    """The rows of one fault or near-miss."""
    if name in FAULTS:
        return fault_rows(FAULTS[name])
    return [near_miss_row(NEAR_MISSES[name])]
