"""A real annotated library under the plugin: its findings, and the time over plain mypy.

``python benchmarks/shapes_real.py FOLDER...`` checks each package folder twice, cold and
with torch cached, without and with the plugin. It exits with 1 if there is any shape
finding, or if the plugin changes an ordinary one.
"""

import sys
import tempfile
import time
from pathlib import Path

from self_tests.shapes.mypy_runs import PLAIN, PLUGIN, Run, run_mypy

QUIET = "ignore_missing_imports = True\n"


def main() -> int:
    """Measure every folder."""
    wrong = 0
    for name in sys.argv[1:]:
        wrong += measure(Path(name).resolve())
    return int(wrong > 0)


def measure(package: Path) -> int:
    """Print the figures of one package; how many findings it should not have."""
    plain, without = timed(package, PLAIN + QUIET)
    shaped, with_plugin = timed(package, PLUGIN + QUIET)
    ordinary = [found for found in shaped.findings if not found.is_shape]
    changed = set(ordinary) ^ set(plain.findings)
    more = with_plugin / without - 1
    print(
        f"{package.name}: {len(shaped.shapes)} shape findings, {len(changed)} ordinary ones "
        f"changed; torch cached: {without:.1f} s plain, {with_plugin:.1f} s with the plugin "
        f"({more:+.0%})"
    )
    for found in [*shaped.shapes, *changed]:
        print(f"  {found.file}:{found.line}: {found.text}")
    return len(shaped.shapes) + len(changed)


def timed(package: Path, config: str) -> tuple[Run, float]:
    """One run with torch in the cache and nothing of the package; its user-visible seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "warm.py").write_text("import torch, torch.nn.functional, einops, jaxtyping\n")
        run_mypy(folder, "warm.py", cache=folder / "cache", config=config)
        start = time.perf_counter()
        run = run_mypy(folder, package, cache=folder / "cache", config=config)
        return run, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
