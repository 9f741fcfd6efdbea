"""Write down which clauses find which fault, for reports to say what a run could have missed: ``veriformer/faults/kills.json``.

    python benchmarks/kills.py              # what the kill matrix proves: each fault by the clauses that must catch it
    python benchmarks/kills.py --measured   # and by every other clause that does: about an hour of one core

``veriformer faults --matrix`` proves the first again, subject by subject; a self-test runs ``--check``.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import sys

import torch

from veriformer.faults.catalogue import FAULTS
from veriformer.faults.kills import PATH, Kill, encoded, unusual
from veriformer.faults.matrix import fault_rows


def proven() -> list[Kill]:
    """Every faulty subject with those of its fault's clauses that are asked of it: each must catch it, by itself."""
    found: dict[str, Kill] = {}
    for fault in FAULTS.values():
        for declaration in fault.subjects():
            asked = [each.id for each in fault.clauses if each.selected_by(declaration.role, declaration.claims)]
            if asked:
                claims = unusual(declaration.role, declaration.claims)
                kill = Kill(fault=fault.id, role=str(declaration.role), claims=claims, clauses=sorted(asked))
                found[str(kill)] = kill
    return list(found.values())


def measured(name: str) -> list[Kill]:
    """One fault's subjects, each judged by every clause."""
    torch.set_num_threads(1)
    fault = FAULTS[name]
    return [
        Kill(
            fault=name,
            role=str(declaration.role),
            claims=unusual(declaration.role, declaration.claims),
            clauses=sorted(row.killed_by),
        )
        for declaration, row in zip(fault.subjects(), fault_rows(fault), strict=True)
    ]


def main() -> int:
    """Write the file, or see whether it says what would be written."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--measured", action="store_true")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = arguments.parse_args()
    if given.check:
        same = PATH.exists() and PATH.read_bytes() == encoded(proven())
        print("up to date" if same else f"{PATH.name} is not what the catalogue says: run python benchmarks/kills.py")
        return 0 if same else 1
    found = proven()
    if given.measured:
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
            for count, each in enumerate(pool.map(measured, FAULTS), start=1):
                found += each
                print(f"{count} of {len(FAULTS)}", file=sys.stderr)
    PATH.write_bytes(encoded(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
