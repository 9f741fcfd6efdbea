"""``python -m veriformer.mutation``: plant every mutant of the reference, and say which the suite lets live."""

import argparse
import random
import sys
from pathlib import Path

import torch

from veriformer.mutation import record, report
from veriformer.mutation.judging import History, judged, warm_up
from veriformer.mutation.mutants import mutants
from veriformer.mutation.reach import stored


def main() -> None:
    """Judge what is not judged yet, print what survives, and write the report."""
    parser = argparse.ArgumentParser(prog="veriformer.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".nox/mutants-cache"), help="where results are kept")
    parser.add_argument("--shard", default="1/1", help="K/N: every N-th mutant, beginning with the K-th")
    parser.add_argument(
        "--sample",
        type=int,
        help="only so many mutants, drawn at random: of two samples of one seed the larger holds the smaller",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order in which mutants are judged")
    parser.add_argument("--only", default="", help="only mutants whose id begins so, such as heads.split")
    parser.add_argument("--seconds", type=float, default=20.0, help="of processor time for one mutant")
    parser.add_argument("--trust", action="store_true", help="keep results from before the last change of the sources")
    parser.add_argument("--again", action="store_true", help="judge again what survived, except what is explained")
    parser.add_argument("--write", type=Path, help="write the report there, of all results there are")
    parser.add_argument("--judge", action=argparse.BooleanOptionalAction, default=True, help="only report")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = record.Results(given.cache, trust=given.trust)
    if given.judge:
        number, shards = map(int, given.shard.split("/"))
        chosen = [mutant for mutant in mutants() if mutant.id.startswith(given.only)]
        random.Random(given.seed).shuffle(chosen)  # whatever was judged when a run is broken off is a fair sample
        pairs = stored(given.cache / f"reach-{record.reference_fingerprint()}.jsonl")
        history = History()
        warm_up()
        for outcome in results.known.values():
            history.remember(outcome)
        for mutant in chosen[: given.sample][number - 1 :: shards]:
            if results.stands(mutant, again=given.again):
                continue
            outcome = judged(mutant, history.ordered(mutant, pairs), seconds=given.seconds)
            history.remember(outcome)
            results.add(outcome)
            if not outcome.killed:
                asked = f"{outcome.asked} of {outcome.pairs}" if outcome.pairs else "never run"
                sys.stdout.write(f"survives ({asked}, {outcome.seconds:.0f} s): {mutant.id}  [{mutant.operator}]\n")
                sys.stdout.flush()
    if given.write:
        given.write.write_text(report.as_markdown(results))
    sys.stdout.write(report.summary(results))


if __name__ == "__main__":
    main()
