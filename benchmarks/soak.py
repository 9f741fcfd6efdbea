"""Judge torch.nn's parts under many seeds, in one process: a correct subject that fails once in a thousand runs is a false alarm.

Run by ``nox -s soak``. Prints a line for each seed, then the closing line; exit code 1 if any MUST did not hold.
"""

import argparse
import sys
import time

import torch

from veriformer.adapters import torch_nn
from veriformer.faults.matrix import verdicts_on
from veriformer.judge import Effort
from veriformer.request import EXAMPLES
from veriformer.verdict import Status
from veriformer_spec.chapters import CLAUSES

GOOD = (Status.PASS, Status.NOT_CHECKED)


def main() -> int:
    """Run every seed over every subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--budget", choices=EXAMPLES, default="quick")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failures = judged = 0
    started = time.perf_counter()
    for seed in range(options.seeds):
        effort = Effort(examples=EXAMPLES[options.budget], seed=seed, shrink=False)
        for declaration in torch_nn.declarations():
            verdicts = verdicts_on(declaration, CLAUSES.values(), effort)
            judged += len(verdicts)
            bad = [
                f"seed {seed}: {declaration.name}: {each.clause}: {each.status} "
                f"{each.reason or (each.evidence and each.evidence.message)}"
                for each in verdicts
                if each.level == "MUST" and each.status not in GOOD and each.clause not in declaration.expected_failures
            ]
            failures += len(bad)
            print("\n".join(bad), end="\n" if bad else "", flush=True)
        print(
            f"{seed + 1} seeds, {judged} verdicts, {failures} failures, {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    print(f"{judged} verdicts, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
