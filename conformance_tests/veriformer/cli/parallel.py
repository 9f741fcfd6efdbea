"""The matrix in several processes: each subject is judged on its own, so they can be dealt out."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterator, Sequence

from veriformer.cli.pieces import Piece, dearest_first
from veriformer.faults.matrix import Row
from veriformer.judge import one_thread
from veriformer.property import properties


def rows_of(asked: Sequence[Piece], jobs: int) -> Iterator[tuple[Piece, Row]]:
    """Each piece with its row, as they are done; the dearest are begun first."""
    properties()  # loaded once, before there are processes that would each load them
    if jobs <= 1 or not hasattr(os, "fork"):
        one_thread()
        for piece in dearest_first(asked):
            yield piece, piece.row()
        return
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context, initializer=one_thread) as pool:
        begun = {pool.submit(Piece.row, piece): piece for piece in dearest_first(asked)}
        try:
            for done in concurrent.futures.as_completed(begun):
                yield begun[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)
