"""The verdict as a badge: an SVG of its own, or the JSON that shields.io draws one from."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from veriformer.errors import UsageError
from veriformer.result import CONFORMANT, INCONCLUSIVE, WRONG, Result
from veriformer.verdict import Status

LABEL = "veriformer"
GREEN, RED, YELLOW, GREY = "brightgreen", "red", "yellow", "lightgrey"
_COLOURS = {GREEN: "#2b7a3d", RED: "#b3302d", YELLOW: "#8a6200", GREY: "#6b6f76"}
"""Dark enough for white letters."""


def maker(path: Path) -> Callable[[Sequence[Result]], str]:
    """What makes the content of ``path``, which its ending decides.

    Raises:
        UsageError: it ends in neither ``.svg`` nor ``.json``.
    """
    made = {".svg": svg, ".json": endpoint}.get(path.suffix.lower())
    if made is None:
        raise UsageError(f"--badge: {path} must end in .svg, or in .json for the badge that shields.io draws")
    return made


def endpoint(results: Sequence[Result]) -> str:
    """What shields.io wants to read at an address of one's own."""
    message, colour = said(results)
    content = {"schemaVersion": 1, "label": LABEL, "message": message, "color": colour}
    return f"{json.dumps(content, ensure_ascii=False)}\n"


def svg(results: Sequence[Result]) -> str:
    """A badge that needs nobody to draw it."""
    message, colour = said(results)
    left, right = _width(LABEL) + 14, _width(message) + 14
    whole, title = left + right, f"{LABEL}: {message}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" viewBox="0 0 {whole} 20" role="img" '
        f"aria-label={quoteattr(title)}>"
        f"<title>{escape(title)}</title>"
        f'<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[colour]}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 14}">{escape(LABEL)}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 14}">{escape(message)}</text>'
        "</g></svg>\n"
    )


def said(results: Sequence[Result]) -> tuple[str, str]:
    """The verdict in a few words, and its colour."""
    if len(results) == 1:
        return _of_one(results[0])
    if not results:
        return "nothing judged", GREY
    total = len(results)
    for word, colour, those in (
        ("could not be judged", RED, [each for each in results if each.footer.blocked]),
        ("not conformant", RED, [each for each in results if each.exit_code not in (CONFORMANT, INCONCLUSIVE)]),
        ("inconclusive", YELLOW, [each for each in results if each.exit_code == INCONCLUSIVE]),
        ("nothing checked", GREY, [each for each in results if _nothing_checked(each)]),
    ):
        if those:
            return f"{word}, {len(those)} of {total} subjects", colour
    return f"conformant, {total} subjects", GREEN


def _of_one(result: Result) -> tuple[str, str]:
    counts, total = result.footer.counts, len(result.verdicts)
    if result.footer.blocked:
        return "could not be judged", RED
    if _nothing_checked(result):
        return "nothing checked", GREY
    if result.exit_code == CONFORMANT:
        held = counts.get(Status.PASS, 0)
        return f"conformant, {held} of {total} clauses hold", GREEN
    if result.exit_code == INCONCLUSIVE:
        return f"inconclusive, {counts.get(Status.INCONCLUSIVE, 0)} of {total} clauses open", YELLOW
    wrong = sum(counts.get(status, 0) for status in (*WRONG, Status.UNEXPECTED_PASS))
    return f"not conformant, {wrong} of {total} clauses fail", RED


def _nothing_checked(result: Result) -> bool:
    return not result.footer.blocked and all(each.status is Status.NOT_CHECKED for each in result.verdicts)


def _width(text: str) -> int:
    """About as many pixels as the text takes in Verdana of 11 pixels; ``textLength`` does the rest."""
    widths = {3.1: "ijl", 4.0: "ft, .", 5.4: "rcs", 9.8: "mw"}
    return round(sum(next((width for width, those in widths.items() if each in those), 6.8) for each in text))
