"""A page in headless Chromium: what the browser complains about, and what it draws."""

import dataclasses
import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium here: `apt-get install chromium`, and the pages are looked at"
)

_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)

WIDTHS = (1200, 390)
"""A desk, and a phone."""

_LOOK = """<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0">
{frames}<pre id="said"></pre>
<script>
const luminance = colour => {{
  const of = document.createElement("canvas").getContext("2d"); of.fillStyle = colour; of.fillRect(0, 0, 1, 1);
  return [...of.getImageData(0, 0, 1, 1).data].slice(0, 3).map(each => each / 255)
    .map(each => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((all, each, at) => all + each * [.2126, .7152, .0722][at], 0);
}};
const contrast = (one, other) => {{
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b); return (high + .05) / (low + .05);
}};
const look = frame => {{
  const page = frame.contentDocument, shown = page.defaultView, style = each => shown.getComputedStyle(each);
  const cells = [...page.querySelectorAll("table.heat td:not(.axis):not(.hidden)")];
  return {{
    wider: Math.max(page.documentElement.scrollWidth, page.body.scrollWidth) - page.documentElement.clientWidth,
    dark: luminance(style(page.body).backgroundColor) < .5,
    contrast: contrast(style(page.body).color, style(page.body).backgroundColor),
    cells: cells.filter(each => each.getBoundingClientRect().width > 0).length,
    faintest: Math.min(99, ...cells.map(each => contrast(style(each).color, style(each).backgroundColor))),
    scripts: page.querySelectorAll("script").length,
    images: page.querySelectorAll("img, iframe, object, embed").length,
    loaded: shown.performance.getEntriesByType("resource").map(each => each.name).filter(each => !each.startsWith("data:")),
  }};
}};
addEventListener("load", () => {{
  document.getElementById("said").textContent = "LOOKED" + JSON.stringify([...document.querySelectorAll("iframe")].map(look)) + "END";
}});
</script>"""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a browser made of a page.

    Attributes:
        wider: pixels by which it can be scrolled sideways.
        contrast: of its text; ``faintest`` of all numbers in pictures.
        cells: numbers in pictures that are drawn.
        loaded: addresses that it fetched.
    """

    wider: int
    dark: bool
    contrast: float
    cells: int
    faintest: float
    scripts: int
    images: int
    loaded: list[str]


def looked_at(page: Path, *, dark: bool) -> tuple[list[Seen], list[str]]:
    """What a browser makes of the page at each of ``WIDTHS``, and what it wrote to its console.

    The page itself runs nothing: another one looks into it, which headless Chromium allows for files when it is told to.
    """
    assert BROWSER is not None
    frames = "".join(
        f'<iframe src="{page.resolve().as_uri()}" style="border:0;width:{width}px;height:2000px"></iframe>'
        for width in WIDTHS
    )
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "look.html"
        frame.write_text(_LOOK.format(frames=frames))
        command = [
            BROWSER,
            *_OPTIONS,
            f"--user-data-dir={folder}/profile",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--allow-file-access-from-files",
            "--window-size=1700,2000",
            "--dump-dom",
            frame.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=180)
    found = re.search(r"LOOKED(\[.*?\])END", done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    seen = [Seen(**each) for each in json.loads(html.unescape(found[1]))]
    return seen, [each for each in done.stderr.splitlines() if "CONSOLE" in each]
