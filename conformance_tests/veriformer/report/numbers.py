"""Numbers as text, in rows and columns."""


def matrix(values: object) -> str:
    """Numbers in rows; of anything deeper, the first matrix."""
    if not isinstance(values, list):
        return _number(values)
    while values and isinstance(values[0], list) and values[0] and isinstance(values[0][0], list):
        values = values[0]
    rows = [row if isinstance(row, list) else None for row in values]
    if any(row is None for row in rows):
        rows = [values]
    words = [[_number(each) for each in row or []] for row in rows]
    width = max((len(each) for row in words for each in row), default=0)
    return "\n".join("  ".join(each.rjust(width) for each in row) for row in words)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return "-" if value is None else str(value)
