"""Plants one mistake at a time in a correct file: axes swapped, a transpose forgotten, ...

The truth about a mutant is its run under jaxtyping and beartype with all sizes
different; whether the plugin reports it is compared with that.
"""

import ast
import copy
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

DTYPES = {"Float": "Int", "Int": "Float", "Bool": "Float"}
AXIS_METHODS = {"unsqueeze", "chunk", "split", "unbind", "softmax", "mean", "sum", "flatten",
                "squeeze", "size", "argmax", "amax"}  # fmt: skip
AXIS_FUNCTIONS = {"cat", "stack", "softmax", "mean", "sum"}
PATTERNS = {"einsum", "rearrange", "reduce", "repeat"}


Changes: TypeAlias = Iterator[tuple[str, Callable[[Any], object]]]
"""What can be changed at one node: the name of the operator, and what it does to a copy."""


@dataclass(frozen=True)
class Mutant:
    """A file with one planted mistake."""

    name: str
    operator: str
    line: int
    source: str


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of one file, each source different from the original."""
    tree = ast.parse(path.read_text())
    original = ast.unparse(tree)
    seen = {original}
    sites = [node for node in ast.walk(tree) if not _inside_run(tree, node)]
    for site in sites:
        for operator, change in _changes(site):
            planted = copy.deepcopy(tree)
            twin = _twin(tree, planted, site)
            change(twin)
            source = ast.unparse(planted)
            if source not in seen:
                seen.add(source)
                line = getattr(site, "lineno", 0)
                yield Mutant(f"{path.stem}_{len(seen) - 1:03}", operator, line, source + "\n")


def _inside_run(tree: ast.Module, node: ast.AST) -> bool:
    """The driver of a file stays as it is."""
    driver = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "run")
    return any(node is inner for inner in ast.walk(driver))


def _twin(tree: ast.Module, planted: ast.Module, site: ast.AST) -> ast.AST:
    """The node of the copy that stands where `site` stands in the original."""
    pairs = zip(ast.walk(tree), ast.walk(planted), strict=True)
    return next(other for one, other in pairs if one is site)


def _changes(site: ast.AST) -> Changes:
    if isinstance(site, ast.Subscript) and _shape_text(site) is not None:
        words = str(_shape_text(site)).split()
        for at in range(len(words) - 1):
            yield "swap-axes", partial(_write_shape, words=_swapped(words, at))
        for at in range(len(words)):
            yield "drop-axis", partial(_write_shape, words=words[:at] + words[at + 1 :])
        if isinstance(site.value, ast.Name) and site.value.id in DTYPES:
            yield "change-dtype", _change_dtype
    if isinstance(site, ast.Call):
        yield from _changes_of_call(site)
    if isinstance(site, ast.Attribute) and site.attr in ("mT", "T"):
        yield "forget-transpose", _become_owner
    if isinstance(site, ast.BinOp) and isinstance(site.op, ast.MatMult):
        yield "swap-operands", _swap_operands
    if isinstance(site, ast.Subscript) and isinstance(site.slice, ast.Tuple):
        for at, item in enumerate(site.slice.elts):
            if isinstance(item, ast.Constant) and item.value is None:
                yield "forget-new-axis", partial(_drop_index, at=at)
    if isinstance(site, ast.Tuple) and isinstance(site.ctx, ast.Store):
        for at in range(len(site.elts) - 1):
            yield "swap-unpacked", partial(_swap_items, at=at)


def _changes_of_call(site: ast.Call) -> Changes:
    name = _name(site.func)
    numbers = [at for at, a in enumerate(site.args) if _number(a) is not None]
    if name in ("transpose", "swapaxes", "contiguous", "unsqueeze") and isinstance(site.func, ast.Attribute):
        yield f"forget-{name}", _become_receiver
    if name in ("transpose", "permute", "swapaxes"):
        for at in numbers:
            yield "other-axis", partial(_shift_argument, at=at)
    if name in AXIS_METHODS | AXIS_FUNCTIONS:
        for at in numbers:
            yield "other-axis", partial(_shift_argument, at=at)
        for at, keyword in enumerate(site.keywords):
            if keyword.arg in ("dim", "start_dim") and _number(keyword.value) is not None:
                yield "other-axis", partial(_shift_keyword, at=at)
            if keyword.arg == "keepdim":
                yield "forget-keepdim", partial(_drop_keyword, at=at)
    if name in PATTERNS:
        yield from _changes_of_pattern(site)
    if len(site.args) >= 2 and name not in ("view_as", "isinstance", "zip"):
        for at in range(len(site.args) - 1):
            if not any(isinstance(a, ast.Starred) for a in site.args[at : at + 2]):
                yield "swap-arguments", partial(_swap_arguments, at=at)


def _changes_of_pattern(site: ast.Call) -> Changes:
    for at, argument in enumerate(site.args):
        if isinstance(argument, ast.Constant) and "->" in str(argument.value):
            left, right = str(argument.value).split("->")
            words = re.findall(r"\w+" if " " in right.strip() else r"[a-z]", right)
            for one, other in itertools.pairwise(words):
                exchange = {one: other, other: one}
                both = "|".join(map(re.escape, exchange))
                found = both if len(one) == len(other) == 1 else rf"\b(?:{both})\b"
                new = re.sub(found, partial(_other, exchange), right)
                yield "swap-in-pattern", partial(_write_text, at=at, text=f"{left}->{new}")


def _other(exchange: dict[str, str], match: re.Match[str]) -> str:
    return exchange[match[0]]


def _write_text(target: ast.Call, at: int, text: str) -> None:
    target.args[at] = ast.Constant(text)


def _drop_index(target: ast.Subscript, at: int) -> None:
    assert isinstance(target.slice, ast.Tuple)
    target.slice.elts.pop(at)


def _drop_keyword(target: ast.Call, at: int) -> None:
    target.keywords.pop(at)


def _swap_items(target: ast.Tuple, at: int) -> None:
    _swap_list(target.elts, at)


def _swap_arguments(target: ast.Call, at: int) -> None:
    _swap_list(target.args, at)


def _shift_argument(target: ast.Call, at: int) -> None:
    _shift(target.args, at)


def _shape_text(site: ast.Subscript) -> str | None:
    parts = site.slice.elts if isinstance(site.slice, ast.Tuple) else []
    if _name(site.value) in DTYPES and len(parts) == 2 and isinstance(parts[1], ast.Constant):
        return str(parts[1].value)
    return None


def _write_shape(target: ast.Subscript, words: list[str]) -> None:
    assert isinstance(target.slice, ast.Tuple)
    text = target.slice.elts[1]
    assert isinstance(text, ast.Constant)
    text.value = " ".join(words) if len(words) > 1 else " " + "".join(words)


def _change_dtype(target: ast.Subscript) -> None:
    assert isinstance(target.value, ast.Name)
    target.value.id = DTYPES[target.value.id]


def _become(target: ast.AST, other: ast.AST) -> None:
    target.__class__ = other.__class__
    target.__dict__ = other.__dict__


def _become_owner(target: ast.Attribute) -> None:
    _become(target, target.value)


def _become_receiver(target: ast.Call) -> None:
    assert isinstance(target.func, ast.Attribute)
    _become(target, target.func.value)


def _swap_operands(target: ast.BinOp) -> None:
    target.left, target.right = target.right, target.left


def _swapped(words: list[str], at: int) -> list[str]:
    return [*words[:at], words[at + 1], words[at], *words[at + 2 :]]


def _swap_list(items: list[ast.expr], at: int) -> None:
    items[at], items[at + 1] = items[at + 1], items[at]


def _number(node: ast.expr) -> int | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if type(value) is int else None


def _shift(items: list[ast.expr], at: int) -> None:
    value = _number(items[at])
    assert value is not None
    items[at] = ast.parse(str(value - 1 if value < 0 else value + 1), mode="eval").body


def _shift_keyword(target: ast.Call, at: int) -> None:
    box = [target.keywords[at].value]
    _shift(box, 0)
    target.keywords[at].value = box[0]


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
