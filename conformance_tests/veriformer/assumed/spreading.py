"""Spreading: a call that is too long for one line, an argument on each, as a formatter would."""

WIDTH = 110
PAIRS = {"(": ")", "[": "]", "{": "}"}


def spread(text: str, *, indent: int = 0) -> list[str]:
    """``text`` on one line where it fits, or its outermost call's arguments on lines of their own."""
    if len(text) + indent <= WIDTH or not any(each in text for each in "({"):
        return [" " * indent + text]
    start, end = _outermost(text)
    if end <= start + 1:
        return [" " * indent + text]
    lines = [" " * indent + text[: start + 1]]
    for each in _arguments(text[start + 1 : end]):
        lines += spread(f"{each},", indent=indent + 4)
    return [*lines, " " * indent + text[end:]]


def _outermost(text: str) -> tuple[int, int]:
    """Where the first bracket that holds most of the text opens and closes."""
    start = next(place for place, letter in enumerate(text) if letter in "({")
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in PAIRS) - (text[place] in PAIRS.values())
        if depth == 0:
            return start, place
    return start, start


def _arguments(text: str) -> list[str]:
    """What stands between the commas that are in no inner bracket and in no string."""
    found, depth, begin, quote = list[str](), 0, 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "," and depth == 0:
            found.append(text[begin:place].strip())
            begin = place + 1
        else:
            depth += (letter in PAIRS) - (letter in PAIRS.values())
    return [*found, text[begin:].strip()] if text[begin:].strip() else found
