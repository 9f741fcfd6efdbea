"""Mutants: every function of the reference, with one change; and how one is planted for as long as a subject runs."""

import ast
import contextlib
import copy
import dataclasses
import functools
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from veriformer.adapters import reference
from veriformer.faults.fault import patched
from veriformer.mutation import operators
from veriformer.mutation.names import Scope

CHAPTERS: Final = (
    "attention",
    "masking",
    "heads",
    "normalization",
    "feed_forward",
    "residual",
    "position",
    "rotary",
    "relative",
    "embedding",
    "stack",
    "decoder",
    "model",
    "cache",
    "generation",
    "recurrence",
    "training",
)
"""The reference's chapters; what builds it, checks its shapes and starts its parameters is no mathematics, and left out."""

FREE: Final = frozenset({"normalization.initial_gain"})
"""Functions that decide on initial values, which are free."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One function of the reference with one change.

    Attributes:
        target: ``chapter.function`` or ``chapter.Class.method``.
        operator: what was done; see ``operators.OPERATORS``.
        change: the statement as it stands now, or as it is missing.
        lines: of that statement in its file.
        source: the whole function as it stands now.
        before: the statement as it was.
        cited: the clauses that the function's docstring names.
    """

    target: str
    operator: str
    change: str
    lines: tuple[int, int]
    source: str
    before: str = ""
    cited: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Where and what, in one line; it moves with nothing but the statement itself."""
        return f"{self.target}: {self.change}"

    @property
    def chapter(self) -> str:
        """The chapter's name."""
        return self.target.partition(".")[0]


@functools.cache
def mutants() -> tuple[Mutant, ...]:
    """Every mutant of the reference, chapter by chapter."""
    return tuple(mutant for chapter in CHAPTERS for mutant in _of_chapter(chapter))


def _of_chapter(chapter: str) -> Iterator[Mutant]:
    module = importlib.import_module(f"veriformer_reference.{chapter}")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from of_function(f"{chapter}.{node.name}", node, module)
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield from of_function(f"{chapter}.{node.name}.{method.name}", method, module)


def of_function(target: str, written: ast.FunctionDef, module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of one function whose bytecode is that of no other, nor the function's own."""
    if target in FREE:
        return
    function = _bare(written)
    cited = frozenset(re.findall(r"[a-z_]+\.[a-z0-9-]+-[a-z0-9-]+", ast.get_docstring(written) or ""))
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    seen = {_signature(_code(function))}
    names: dict[str, int] = {}
    for operator, statement, before, change in _planted(function, Scope(written, module)):
        try:
            signature = _signature(_code(function))
        except (SyntaxError, ValueError, TypeError):
            continue
        if signature in seen:
            continue
        seen.add(signature)
        names[change] = names.get(change, 0) + 1
        number = f" #{names[change]}" if names[change] > 1 else ""
        lines = (statement.lineno, _last_line(statement))
        yield Mutant(target, operator, change + number, lines, ast.unparse(function), before, cited)


def _planted(function: ast.FunctionDef, scope: Scope) -> Iterator[tuple[str, ast.stmt, str, str]]:
    """Plant one change after another in ``function`` itself; each is taken out again when the next is asked for."""
    for statement, parent, field, index, node in list(_sites(function, function)):
        before = _shown(statement)
        for operator, other in _changes_at(parent, field, node, scope):
            deleted = isinstance(other, ast.Pass)
            with _in_place(parent, field, index, other):
                yield operator, statement, before, f"without `{before}`" if deleted else _shown(statement)
    yield from _of_the_result(function, scope.function)


def _changes_at(parent: ast.AST, field: str, node: ast.AST, scope: Scope) -> Iterator[operators.Change]:
    if isinstance(node, ast.Assign | ast.Expr | ast.For | ast.Break | ast.Continue):
        if _may_be_deleted(node, scope.function):
            yield "statement", ast.Pass()
        return
    if field in {"defaults", "kw_defaults"}:
        if isinstance(node, ast.Constant):
            for _, other in operators.constants(node):
                yield "default", other
        return
    if isinstance(node, ast.expr):
        tested = isinstance(parent, ast.If | ast.IfExp | ast.While) and field == "test"
        if tested or (isinstance(parent, ast.comprehension) and field == "ifs"):
            for each in operators.forced(node):
                yield "condition", each
        if isinstance(parent, ast.For | ast.comprehension) and field == "iter":
            for each in operators.rounds(node):
                yield "loop", each
    yield from operators.changes(node, scope)


def _may_be_deleted(node: ast.stmt, function: ast.FunctionDef) -> bool:
    """Whether what follows still has its names: a variable bound here alone would only raise."""
    if not isinstance(node, ast.Assign):
        return True
    targets = [each for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    stored = [each for each in targets if isinstance(each.ctx, ast.Store)]
    known = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    for other in ast.walk(function):
        if isinstance(other, ast.Name) and isinstance(other.ctx, ast.Store) and other.lineno < node.lineno:
            known.add(other.id)
    return all(each.id in known for each in stored)


def _of_the_result(function: ast.FunctionDef, written: ast.FunctionDef) -> Iterator[tuple[str, ast.stmt, str, str]]:
    """The first argument in place of the result, and the result without its graph."""
    tensors = [each for each in written.args.args if each.annotation and "Float[" in ast.unparse(each.annotation)]
    result = "" if written.returns is None else ast.unparse(written.returns)
    arguments = [each.arg for each in written.args.args if each.arg != "self"]
    first, body = function.body[0], function.body
    kinds = {each.arg: _kind(each.annotation) for each in written.args.args}
    if arguments and kinds[arguments[0]] == _kind(written.returns):
        given: list[ast.stmt] = [ast.Return(ast.Name(arguments[0], ast.Load()))]
        function.body = given
        yield "input returned", first, "", f"only `return {arguments[0]}`"
        function.body = body
    if not tensors or not result.startswith("Float["):
        return
    for node in [each for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None]:
        value = node.value
        assert value is not None
        before, detached = _shown(node), ast.Call(ast.Attribute(value, "detach", ast.Load()), [], [])
        with _in_place(node, "value", None, detached):
            yield "gradient", node, before, _shown(node)


def _kind(annotation: ast.expr | None) -> str:
    return "" if annotation is None else ast.unparse(annotation).partition("[")[0].partition(" |")[0]


_UNTOUCHED: Final = (ast.Raise, ast.JoinedStr, ast.Assert, ast.arg)
"""Messages may read as they like; an assertion tells the type checker something; annotations compute nothing."""


def _sites(node: ast.AST, statement: ast.stmt) -> Iterator[tuple[ast.stmt, ast.AST, str, int | None, ast.AST]]:
    """Every node that may be changed: the statement it stands in, and its parent, field and index."""
    for field, value in ast.iter_fields(node):
        if field in {"decorator_list", "returns", "annotation"}:
            continue
        for index, each in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(each, ast.AST) or isinstance(each, _UNTOUCHED):
                continue
            owner = each if isinstance(each, ast.stmt) else statement
            yield owner, node, field, index, each
            yield from _sites(each, owner)


@contextlib.contextmanager
def _in_place(parent: ast.AST, field: str, index: int | None, other: ast.AST | None) -> Iterator[None]:
    """Put another node there for a while."""
    before = getattr(parent, field)
    if index is None:
        setattr(parent, field, other)
    else:
        setattr(parent, field, [*before[:index], other, *before[index + 1 :]])
    try:
        yield
    finally:
        setattr(parent, field, before)


def _shown(statement: ast.stmt) -> str:
    """A statement in one line; of one that holds others, its head."""
    match statement:
        case ast.FunctionDef(args=arguments):
            named = [*arguments.posonlyargs, *arguments.args]
            late = list(zip(named[len(named) - len(arguments.defaults) :], arguments.defaults, strict=True))
            late += [
                (each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
            ]
            return "def with " + ", ".join(f"{each.arg}={ast.unparse(value)}" for each, value in late)
        case ast.If(test=test):
            return f"if {ast.unparse(test)}:"
        case ast.For(target=target, iter=over):
            return f"for {ast.unparse(target)} in {ast.unparse(over)}:"
        case _:
            return ast.unparse(statement)


def _last_line(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    if isinstance(statement, ast.FunctionDef):
        return statement.end_lineno or statement.lineno
    if isinstance(body, list) and body:
        return max(statement.lineno, int(body[0].lineno) - 1)
    return statement.end_lineno or statement.lineno


def _bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """A copy of the function without annotations and decorators."""
    bare = copy.deepcopy(function)
    bare.decorator_list, bare.returns = [], None
    for node in ast.walk(bare):
        if isinstance(node, ast.arg):
            node.annotation = None
    return bare


def _code(function: ast.FunctionDef) -> CodeType:
    return compile(ast.fix_missing_locations(ast.Module([function], [])), "<mutant>", "exec")


def _signature(code: CodeType) -> tuple[Any, ...]:
    """What a function does, whatever line it stands on."""
    constants = tuple(
        _signature(each) if isinstance(each, CodeType) else (type(each).__name__, repr(each)) for each in code.co_consts
    )
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def replacement(mutant: Mutant) -> Callable[..., Any]:
    """The changed function, in the namespace of its chapter."""
    module = importlib.import_module(f"veriformer_reference.{mutant.chapter}")
    owner, _, name = mutant.target.rpartition(".")
    # compiled outside its class, where super() has to be told which class it was
    source = mutant.source.replace("super()", f"super({owner.rpartition('.')[2]}, self)")
    made: dict[str, Any] = {}
    # the chapter's own namespace, so that the functions it calls can be patched as ever
    exec(compile(source, f"<{mutant.id}>", "exec"), vars(module), made)  # noqa: S102
    function: Callable[..., Any] = made[name]
    return function


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Put the changed function in while the subject's own call runs, as catalogued faults are; the oracle never sees it."""
    chapter, *owners, name = mutant.target.split(".")
    if not owners:
        with patched(((mutant.target, _cached(mutant)),)):
            yield
        return
    owner = getattr(importlib.import_module(f"veriformer_reference.{chapter}"), owners[0])
    before = vars(owner)[name]
    function = _cached(mutant)
    with reference.without_shape_checks():
        setattr(owner, name, property(function) if isinstance(before, property) else function)
        try:
            yield
        finally:
            setattr(owner, name, before)


_cached = functools.lru_cache(maxsize=4)(replacement)
