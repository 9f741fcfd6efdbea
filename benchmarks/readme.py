"""Fill README's blocks with what the commands print, and write docs/claims.md; ``--check`` fails where they have drifted apart.

Blocks stand between ``<!-- name -->`` and ``<!-- /name -->``. A self-test runs ``--check``.
"""

import argparse
import inspect
import re
import subprocess
import sys
from pathlib import Path

from veriformer_spec.config import CLAIMS
from veriformer_spec.interface import PROTOCOLS
from veriformer_spec.profiles import PROFILES
from veriformer_spec.role import Role

ROOT = Path(__file__).parents[1]


def failure() -> str:
    """What ``veriformer check`` prints of the example, without the time it took."""
    command = [sys.executable, "-m", "veriformer", "check", "examples/encoder_layer.py:build"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False).stdout
    return "```\n$ veriformer check examples/encoder_layer.py:build\n" + _timeless(printed).strip("\n") + "\n```"


def roles() -> str:
    """The table of roles."""
    rows = ["| role | call | what it is |", "|---|---|---|"]
    for role in Role:
        protocol = PROTOCOLS[role]
        names = ", ".join(_spelled(each) for each in inspect.signature(protocol.forward).parameters.values())  # type: ignore[attr-defined]  # each has it
        said = (protocol.__doc__ or "").strip().splitlines()[0]
        rows.append(f"| `{role}` | `({names.removeprefix('self, ')})` | {said} |")
    return "\n".join(rows)


def _spelled(parameter: inspect.Parameter) -> str:
    optional = parameter.default is not inspect.Parameter.empty
    return f"{parameter.name}={parameter.default}" if optional else parameter.name


def claims() -> str:
    """The table of claims."""
    rows = ["| claim | values | default | asked of | meaning |", "|---|---|---|---|---|"]
    for claim in CLAIMS.values():
        values = " ".join(filter(None, (", ".join(f"`{each}`" for each in claim.values), claim.rule)))
        others = "".join(f"; {role}: `{value}`" for role, value in claim.defaults.items())
        asked = ", ".join(claim.roles)
        rows.append(f"| `{claim.name}` | {values} | `{claim.default}`{others} | {asked} | {claim.meaning} |")
    return "\n".join(rows)


def profiles() -> str:
    """The table of known models."""
    rows = ["| profile | role | claims beyond the defaults | source |", "|---|---|---|---|"]
    for profile in PROFILES.values():
        said = ", ".join(f"`{name}={value}`" for name, value in profile.claims.items())
        rows.append(f"| `reference.{profile.name}` | `{profile.role}` | {said} | {profile.source} |")
    return "\n".join(rows)


def _timeless(printed: str) -> str:
    return re.sub(r" in \d+\.\d s", "", printed)


def filled(text: str) -> str:
    """``text`` with every block made anew."""
    for name, make in (("failure", failure), ("roles", roles), ("claims", claims), ("profiles", profiles)):
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in text:
            continue
        made = make()
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, block=f"{begin}\n{made}\n{end}": block, text)
    return text


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    drifted = False
    for path in (ROOT / "README.md", ROOT / "docs/claims.md"):
        before = path.read_text()
        after = filled(before)
        drifted |= after != before
        if not options.check:
            path.write_text(after)
    return int(options.check and drifted)


if __name__ == "__main__":
    sys.exit(main())
