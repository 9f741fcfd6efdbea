"""The mutation score: of the mutants of correct files that fail when run, how many are reported?

``python benchmarks/shapes_mutation.py [--every N]`` plants every mistake of
``self_tests.shapes.mutants`` in every correct file of the corpus.
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from self_tests.shapes.mutants import mutants_of
from self_tests.shapes.mypy_runs import CORPUS
from self_tests.shapes.scoring import score


def main() -> None:
    """Print the score, and what was missed by operator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="score every N-th mutant")
    parser.add_argument("--list", action="store_true", help="list the mutants missed")
    arguments = parser.parse_args()
    files = sorted((CORPUS / "correct").glob("*.py"))
    planted = [mutant for path in files for mutant in mutants_of(path)][:: arguments.every]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        found = score(planted, Path(name), None)
    seconds = time.perf_counter() - start
    print(f"{len(planted)} mutants of {len(files)} files in {seconds:.0f} s")
    print(f"failing when run: {found.failing}; reported {found.caught} = {found.share:.1%}")
    print(f"  of them without the file's driver: {found.caught_inside}")
    print(f"passing when run: {found.passing}; reported {len(found.flagged)}")
    print("missed, by operator:", dict(Counter(m.operator for m in found.missed).most_common()))
    print("missed, by file:", dict(Counter(m.name[:-4] for m in found.missed).most_common(12)))
    if arguments.list:
        for mutant in found.missed:
            print(f"  {mutant.name} {mutant.operator} line {mutant.line}")


if __name__ == "__main__":
    main()
