"""Judge every catalogued fault by every clause, and write down who kills whom: ``veriformer/faults/kills.json``.

    python benchmarks/kills.py [--jobs N] [FAULT]...

Takes about an hour of one core; with ids, only those are judged, and the others are kept as they are.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import sys

import torch

from veriformer.faults.catalogue import FAULTS
from veriformer.faults.kills import PATH, Kill, encoded, kills, unusual
from veriformer.faults.matrix import fault_rows


def kills_of(name: str) -> list[Kill]:
    """Judge one fault's subjects by every clause."""
    torch.set_num_threads(1)
    fault = FAULTS[name]
    rows = fault_rows(fault)
    return [
        Kill(
            fault=name,
            role=str(declaration.role),
            claims=unusual(declaration.role, declaration.claims),
            clauses=sorted(row.killed_by),
        )
        for declaration, row in zip(fault.subjects(), rows, strict=True)
    ]


def main() -> int:
    """Judge, print how far it is, write."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("faults", nargs="*", metavar="FAULT")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    asked = given.faults or list(FAULTS)
    unknown = [name for name in asked if name not in FAULTS]
    if unknown:
        print(f"no fault is called {', '.join(unknown)}: `veriformer faults` lists them", file=sys.stderr)
        return 2
    kept = {name: [each for each in kills() if each.fault == name] for name in FAULTS}
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
        for count, (name, found) in enumerate(zip(asked, pool.map(kills_of, asked), strict=True), start=1):
            kept[name] = found
            print(f"{count} of {len(asked)}: {name}", file=sys.stderr)
    PATH.write_bytes(encoded([each for name in FAULTS for each in kept[name]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
