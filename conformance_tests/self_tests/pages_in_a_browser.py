"""A page in headless Chromium: what the browser complains about, and what it draws."""

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

_LOOK = """<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0">
<iframe src="{page}" style="border:0;width:{width}px;height:2000px"></iframe><pre id="said"></pre>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, shown = page.defaultView;
  const luminance = colour => {{
    const of = document.createElement("canvas").getContext("2d"); of.fillStyle = colour; of.fillRect(0, 0, 1, 1);
    return [...of.getImageData(0, 0, 1, 1).data].slice(0, 3).map(each => each / 255)
      .map(each => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4).reduce((all, each, at) => all + each * [.2126, .7152, .0722][at], 0);
  }};
  const contrast = (one, other) => {{ const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b); return (high + .05) / (low + .05); }};
  const cells = [...page.querySelectorAll("table.heat td:not(.axis):not(.hidden)")];
  document.getElementById("said").textContent = "LOOKED" + JSON.stringify({{
    title: page.title,
    wider: Math.max(page.documentElement.scrollWidth, page.body.scrollWidth) - shown.innerWidth,
    dark: luminance(shown.getComputedStyle(page.body).backgroundColor) < .5,
    contrast: contrast(shown.getComputedStyle(page.body).color, shown.getComputedStyle(page.body).backgroundColor),
    cells: cells.filter(each => each.getBoundingClientRect().width > 0).length,
    faintest: Math.min(99, ...cells.map(each => contrast(shown.getComputedStyle(each).color, shown.getComputedStyle(each).backgroundColor))),
    scripts: page.querySelectorAll("script").length,
    images: page.querySelectorAll("img, iframe, object, embed").length,
    loaded: shown.performance.getEntriesByType("resource").filter(each => !each.name.startsWith("data:")).map(each => each.name),
  }}) + "END";
}});
</script>"""


def looked_at(page: Path, *, width: int, dark: bool) -> tuple[dict[str, object], list[str]]:
    """What a browser of that width makes of the page, and what it wrote to its console.

    The page itself runs nothing: another one looks into it, which headless Chromium allows for files when it is told to.
    """
    assert BROWSER is not None
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "look.html"
        frame.write_text(_LOOK.format(page=page.resolve().as_uri(), width=width))
        command = [
            BROWSER,
            *_OPTIONS,
            f"--user-data-dir={folder}/profile",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--allow-file-access-from-files",
            "--virtual-time-budget=10000",
            f"--window-size={max(width, 500)},2000",
            "--dump-dom",
            frame.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=120)
    found = re.search(r"LOOKED(\{.*?\})END", done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:]
    import html

    return json.loads(html.unescape(found[1])), [each for each in done.stderr.splitlines() if "CONSOLE" in each]
