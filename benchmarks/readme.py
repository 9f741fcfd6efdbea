"""Fill README's blocks with what the commands print; ``--check`` fails where they have drifted apart.

Blocks stand between ``<!-- name -->`` and ``<!-- /name -->``. A self-test runs ``--check``.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from veriformer_spec.config import CLAIMS

ROOT = Path(__file__).parents[1]


def failure() -> str:
    """What ``veriformer check`` prints of the example, without the time it took."""
    command = [sys.executable, "-m", "veriformer", "check", "examples/encoder_layer.py:build"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False).stdout
    return "```\n$ veriformer check examples/encoder_layer.py:build\n" + _timeless(printed).strip("\n") + "\n```"


def claims() -> str:
    """The table of claims."""
    rows = ["| claim | values | default | meaning |", "|---|---|---|---|"]
    for claim in CLAIMS.values():
        values = " ".join(filter(None, (", ".join(f"`{each}`" for each in claim.values), claim.rule)))
        rows.append(f"| `{claim.name}` | {values} | `{claim.default}` | {claim.meaning} |")
    return "\n".join(rows)


def _timeless(printed: str) -> str:
    return re.sub(r" in \d+\.\d s", "", printed)


def filled(text: str) -> str:
    """``text`` with every block made anew."""
    for name, make in (("failure", failure), ("claims", claims)):
        made = make()
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, block=f"{begin}\n{made}\n{end}": block, text)
    return text


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    path = ROOT / "README.md"
    before = path.read_text()
    after = filled(before)
    if options.check:
        return int(after != before)
    path.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
