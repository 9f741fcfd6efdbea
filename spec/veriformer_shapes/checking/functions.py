"""Checks one function, one class body, one module: where the walk begins."""

from __future__ import annotations

from collections.abc import Iterator

from mypy.nodes import (
    ARG_STAR,
    ARG_STAR2,
    Block,
    ClassDef,
    Decorator,
    Expression,
    FuncDef,
    MypyFile,
    OverloadedFuncDef,
    Statement,
    TypeInfo,
)
from mypy.options import Options
from mypy.types import AnyType, CallableType, Instance, Type, get_proper_type

from ..language.memo import Memo, names_of
from ..language.shape import SOME_AXES, Spread
from ..language.values import (
    UNKNOWN_VALUE,
    Integer,
    Optional,
    Repeated,
    Tensor,
    Value,
    present,
)
from .expressions import Evaluator
from .guard import guarded
from .making import fields_made
from .objects import Object
from .report import Reporter
from .state import State
from .statements import Walker
from .types import misfit, shapes_in, value_of, without_names

_YIELDED = frozenset(f"typing.{name}" for name in ("Iterator", "Iterable", "Generator", "AsyncIterator"))


def check_module(tree: MypyFile, report: Reporter, options: Options) -> None:
    """The statements of a module in order, then every function in it."""
    state = State()
    walker = Walker(Evaluator(state, report), None)
    with guarded(tree.fullname, options):
        for statement in tree.defs:
            if state.reached:
                walker.statement(statement)
    made: dict[TypeInfo | None, dict[str, Value]] = {None: {}}
    for info, function in functions_in(tree.defs):
        if info is not None and info not in made:
            made[info] = {}
            with guarded(info.fullname, options):
                made[info] = fields_made(info, report)
        check_function(function, info, report, options, made[info])
    for info, body in _classes_in(tree.defs):
        with guarded(info.fullname, options), report.inside(info, None):
            Walker(Evaluator(State(), report, info), None).block(body)


def check_function(
    function: FuncDef,
    info: TypeInfo | None,
    report: Reporter,
    options: Options,
    made: dict[str, Value] | None = None,
) -> None:
    """One function or method, and the functions inside it.

    Args:
        made: see `making.fields_made`; worked out here if it is not given.
    """
    with guarded(function.fullname, options), report.inside(info, function):
        if made is None:
            made = fields_made(info, report) if info is not None else {}
        _Body(function, info, report, options, made).check()


def functions_in(
    statements: list[Statement], info: TypeInfo | None = None
) -> Iterator[tuple[TypeInfo | None, FuncDef]]:
    """Every function that is not inside another, with its class."""
    for statement in statements:
        if isinstance(statement, FuncDef):
            yield info, statement
        elif isinstance(statement, Decorator):
            yield info, statement.func
        elif isinstance(statement, OverloadedFuncDef):
            items = [*statement.items, *([statement.impl] if statement.impl else [])]
            yield from functions_in(list(dict.fromkeys(items)), info)
        elif isinstance(statement, ClassDef):
            yield from functions_in(statement.defs.body, statement.info)
        else:
            for block in _blocks_of(statement):
                yield from functions_in(block.body, info)


def _classes_in(statements: list[Statement]) -> Iterator[tuple[TypeInfo, Block]]:
    for statement in statements:
        if isinstance(statement, ClassDef):
            yield statement.info, statement.defs
            yield from _classes_in(statement.defs.body)


def _blocks_of(statement: Statement) -> list[Block]:
    """The blocks of an ``if`` or ``try`` at the top of a module or class."""
    blocks: list[Block] = []
    for name in ("body", "else_body", "handlers", "finally_body"):
        found = getattr(statement, name, None)
        blocks += [
            b for b in (found if isinstance(found, list) else [found]) if isinstance(b, Block) and not b.is_unreachable
        ]
    return blocks


class _Body:
    """One function body and the scope its annotations make."""

    def __init__(
        self,
        function: FuncDef,
        info: TypeInfo | None,
        report: Reporter,
        options: Options,
        made: dict[str, Value],
        outer: Evaluator | None = None,
    ) -> None:
        self.made = made if function.name != "__init__" else {}
        self.function = function
        self.info = info
        self.report = report
        self.options = options
        found = get_proper_type(function.type) if function.type is not None else None
        self.signature = found if isinstance(found, CallableType) else None
        self.memo = Memo()
        self.outer = outer
        self.nested: list[FuncDef] = []

    def check(self) -> None:
        """Walk through the body, and through the functions that are written inside it."""
        signature = self.signature
        if signature is None and not self.options.check_untyped_defs:
            return
        state = State(self.memo)
        if self.outer is not None:
            self._capture(state, self.outer)
        evaluator = Evaluator(state, self.report, self.info)
        evaluator.made = self.made
        if signature is not None:
            self._defaults(signature, evaluator)
            self._parameters(signature, state)
        returns = None if signature is None else self._returned(signature)
        walker = Walker(evaluator, returns, self._remember)
        yielded = self._yielded(signature)

        def yields(expression: Expression | None, value: Value) -> None:
            """Compare what is yielded with what the signature promises."""
            if yielded is not None:
                where = expression if expression is not None else self.function
                walker.check_result(value, where, "Yielded value", yielded)

        evaluator.yields = yields
        walker.block(self.function.body)
        for function in self.nested:
            _Body(function, None, self.report, self.options, self.made, evaluator).check()

    def _parameters(self, signature: CallableType, state: State) -> None:
        types = signature.arg_types
        self.memo.declare(shape for found in types for shape in shapes_in(found))
        self.memo.signature = frozenset(
            name for shape in shapes_in(signature) for item in shape.items for name in names_of(item)
        )
        for at, argument in enumerate(self.function.arguments[: len(types)]):
            kind, name = signature.arg_kinds[at], argument.variable.name
            value = value_of(types[at], self.memo, name)
            if at == 0 and self.info is not None and self._takes_self():
                value = Object(Instance(self.info, []), "self")
            if kind == ARG_STAR:
                value = Repeated(value)
            elif kind == ARG_STAR2:
                value = UNKNOWN_VALUE
            value = self._with_own_runs(value, name)
            inner = present(value)
            if isinstance(inner, Integer):
                self.memo.integers[name] = inner.size
            state.values[argument.variable] = value

    def _takes_self(self) -> bool:
        return not self.function.is_static and not self.function.is_class

    def _with_own_runs(self, value: Value, name: str) -> Value:
        """The ``...`` of one parameter: axes nobody named, but the same all through the body."""
        inner = present(value)
        if not isinstance(inner, Tensor) or inner.shapeless or SOME_AXES not in inner.dims:
            return value
        run = Spread(f"...{name}")
        self.memo.spreads[f"...{name}"] = (run,)
        tensor = Tensor(tuple(run if d == SOME_AXES else d for d in inner.dims), inner.dtypes)
        return Optional(tensor) if isinstance(value, Optional) else tensor

    def _defaults(self, signature: CallableType, evaluator: Evaluator) -> None:
        for argument, wanted in zip(self.function.arguments, signature.arg_types, strict=False):
            if argument.initializer is None or not any(shapes_in(wanted)):
                continue
            value = evaluator.evaluate(argument.initializer)
            problem = misfit(wanted, value, Memo())
            if problem is not None:
                told = problem.told(f'The default of "{argument.variable.name}"', "it is declared")
                self.report.fail(told, argument.initializer)

    def _returned(self, signature: CallableType) -> Type | None:
        returned = get_proper_type(signature.ret_type)
        if self.function.is_generator:
            return None
        if self.function.is_coroutine and isinstance(returned, Instance) and returned.args:
            return returned.args[-1]
        return None if isinstance(returned, AnyType) else signature.ret_type

    def _yielded(self, signature: CallableType | None) -> Type | None:
        if signature is None or not self.function.is_generator:
            return None
        returned = get_proper_type(signature.ret_type)
        if isinstance(returned, Instance) and returned.type.fullname in _YIELDED and returned.args:
            return returned.args[0]
        return None

    def _remember(self, function: FuncDef, evaluator: Evaluator) -> None:
        """A function inside this one: walked when the values it may see are all known."""
        if function not in self.nested:
            self.nested.append(function)

    def _capture(self, state: State, outer: Evaluator) -> None:
        """What the surrounding function knows at its end.

        A function with shapes of its own has axis names of its own: the same word may be
        another size there, so that of captured tensors only the rank is kept.
        """
        signature = self.signature
        own = signature is not None and any(shapes_in(signature))
        if not own:
            state.memo.sizes.update(outer.state.memo.sizes)
            state.memo.spreads.update(outer.state.memo.spreads)
        for place, value in outer.state.values.items():
            state.values[place] = without_names(value) if own else value
