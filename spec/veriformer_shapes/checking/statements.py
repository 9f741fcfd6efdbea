"""Walks the statements of a function in the order they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from mypy.nodes import (
    AssertStmt,
    AssignmentStmt,
    Block,
    BreakStmt,
    ClassDef,
    Context,
    ContinueStmt,
    Decorator,
    DelStmt,
    Expression,
    ExpressionStmt,
    ForStmt,
    FuncDef,
    IfStmt,
    MatchStmt,
    NameExpr,
    OperatorAssignmentStmt,
    OverloadedFuncDef,
    RaiseStmt,
    ReturnStmt,
    Statement,
    TryStmt,
    Var,
    WhileStmt,
    WithStmt,
)
from mypy.types import Type

from ..language.axis import Axis
from ..language.memo import Memo
from ..language.shape import Dims, spread_at
from ..language.values import UNKNOWN_VALUE, Tensor, Value, present
from . import sequences
from .beliefs import bind_unbound, refined
from .branches import stay_apart
from .expressions import Evaluator
from .narrowing import assume
from .state import State, merged
from .types import misfit, shapes_in, value_of

Nested: TypeAlias = Callable[[FuncDef, Evaluator], None]

_SPLITS = 2
"""How many conditions are kept apart at once behind their branches."""

_ROUNDS = 3
"""How often a loop body is walked to find what it leaves unchanged."""


class Walker:
    """Executes statements on the state of an evaluator."""

    def __init__(self, evaluator: Evaluator, returns: Type | None, nested: Nested | None = None) -> None:
        self.evaluator = evaluator
        self.report = evaluator.report
        self._returns = returns
        self._nested = nested
        self._splits = 0
        self._breaks: list[State] = []
        self._continues: list[State] = []
        self._by_class: dict[type[Statement], Callable[..., None]] = {
            AssignmentStmt: self._assignment,
            OperatorAssignmentStmt: self._in_place,
            ExpressionStmt: lambda s: self._discard(s.expr),
            ReturnStmt: self._return,
            IfStmt: self._if,
            ForStmt: self._for,
            WhileStmt: self._while,
            WithStmt: self._with,
            TryStmt: self._try,
            MatchStmt: self._match,
            AssertStmt: self._assert,
            RaiseStmt: self._raise,
            BreakStmt: self._break,
            ContinueStmt: self._continue,
            DelStmt: self._delete,
            Block: self.block,
            FuncDef: self._function,
            Decorator: lambda s: self._function(s.func),
            OverloadedFuncDef: self._overloaded,
            ClassDef: lambda s: None,
        }

    @property
    def state(self) -> State:
        """What is known where the walk stands."""
        return self.evaluator.state

    def block(self, block: Block | None) -> None:
        """Walk a block from top to bottom; what mypy has found unreachable is left out."""
        if block is None or block.is_unreachable:
            return
        self._in_turn(block.body)

    def _in_turn(self, statements: list[Statement]) -> None:
        for at, statement in enumerate(statements):
            if not self.state.reached:
                return
            if isinstance(statement, IfStmt):
                ends = [state for state in self._ways(statement) if state.reached]
                rest = statements[at + 1 :]
                if self._splits < _SPLITS and len(ends) == 2 and stay_apart(statement, rest, ends):
                    self._apart(ends, rest)
                    return
                if ends:
                    self.evaluator.state = merged(ends)
                else:
                    self.state.reached = False
            else:
                self.statement(statement)

    def _apart(self, ends: list[State], rest: list[Statement]) -> None:
        """Walk what follows once for each way, so that a later test of the condition is known."""
        self._splits += 1
        done: list[State] = []
        for end in ends:
            self.evaluator.state = end
            self._in_turn(rest)
            done.append(self.state)
        self._splits -= 1
        self.evaluator.state = merged(done)

    def statement(self, statement: Statement) -> None:
        """Walk one statement; one of a kind that is not followed changes nothing."""
        method = self._by_class.get(type(statement))
        if method is not None:
            method(statement)

    def _discard(self, expression: Expression) -> None:
        self.evaluator.evaluate(expression)

    # -- assignment and return

    def _assignment(self, statement: AssignmentStmt) -> None:
        value = self.evaluator.evaluate(statement.rvalue)
        target = statement.lvalues[0]
        if statement.type is not None:
            value = self._annotated(statement, target, value)
        for lvalue in statement.lvalues:
            self.evaluator.assign(lvalue, value, statement)

    def _annotated(self, statement: AssignmentStmt, target: Expression, value: Value) -> Value:
        """``scores: Float[Tensor, "q_len k_len"] = ...``: check, bind, and believe."""
        variable = target.node if isinstance(target, NameExpr) else None
        declared = variable.type if isinstance(variable, Var) else statement.type
        if not any(True for _ in shapes_in(declared)):
            if value == UNKNOWN_VALUE:
                return value_of(declared, self.state.memo, getattr(target, "name", None))
            return value
        memo = self.state.memo
        problem = misfit(declared, value, memo)
        if problem is not None:
            name = getattr(target, "name", "value")
            self.report.fail(problem.told(f'The value of "{name}"', "it is declared"), statement)
        for shape in shapes_in(declared):
            bind_unbound(shape, memo)
        believed = value_of(declared, memo)
        return believed if problem is not None else refined(value, believed)

    def _in_place(self, statement: OperatorAssignmentStmt) -> None:
        left = self.evaluator.evaluate(statement.lvalue)
        right = self.evaluator.evaluate(statement.rvalue)
        value = self.evaluator.operate(statement.op, left, right, statement)
        old, new = present(left), present(value)
        if isinstance(old, Tensor) and isinstance(new, Tensor):
            if _is_wider(new.dims, old.dims):
                self.report.fail(f'"{statement.op}=" cannot turn shape "{old}" into "{new}" in place', statement)
            if not new.dims or spread_at(new.dims) is not None:
                # In place, the shape stays whatever it was.
                value = Tensor(old.dims, new.dtypes)
        self.evaluator.assign(statement.lvalue, value, statement)

    def _return(self, statement: ReturnStmt) -> None:
        if statement.expr is not None:
            value = self.evaluator.evaluate(statement.expr)
            self.check_result(value, statement, "Returned value")
        self.state.reached = False

    def check_result(self, value: Value, where: Context, what: str, declared: Type | None = None) -> None:
        """Whether a returned or yielded value is what the function declares."""
        wanted = declared if declared is not None else self._returns
        problem = misfit(wanted, value, self.state.memo.copy())
        if problem is not None:
            self.report.fail(problem.told(what, "the function declares"), where)

    # -- ways that split and meet

    def _if(self, statement: IfStmt) -> None:
        self.evaluator.state = merged(self._ways(statement))

    def _ways(self, statement: IfStmt) -> list[State]:
        """The states at the end of each branch."""
        ends: list[State] = []
        rest = self.state
        for condition, body in zip(statement.expr, statement.body, strict=True):
            self.evaluator.state = rest
            self._discard(condition)
            taken = rest.fork()
            self.evaluator.state = taken
            if assume(self.evaluator, condition, True) and not body.is_unreachable:
                self.block(body)
                ends.append(self.state)
            rest = rest.fork()
            self.evaluator.state = rest
            if not assume(self.evaluator, condition, False):
                rest.reached = False
        if rest.reached:
            self.block(statement.else_body)
        ends.append(self.state)
        return ends

    def _for(self, statement: ForStmt) -> None:
        source = self.evaluator.evaluate(statement.expr)
        item = sequences.element(source)

        def enter() -> None:
            """Give the loop's variable what one round of the loop gives it."""
            value = item
            if value == UNKNOWN_VALUE and isinstance(statement.index, NameExpr):
                node = statement.index.node
                if isinstance(node, Var) and node.type is not None:
                    # mypy has inferred the class of what it loops over.
                    value = value_of(node.type, Memo(), node.name)
                    if isinstance(value, Tensor):
                        value = Tensor()
            self.evaluator.assign(statement.index, value)

        self._loop(enter, statement.body, statement.else_body, None)

    def _while(self, statement: WhileStmt) -> None:
        self._loop(
            lambda: self._discard(statement.expr),
            statement.body,
            statement.else_body,
            statement.expr,
        )

    def _loop(
        self,
        enter: Callable[[], None],
        body: Block,
        else_body: Block | None,
        condition: Expression | None,
    ) -> None:
        """Find what holds at the head of every round, then walk the body once more to report."""
        head = first = self.state
        outer = self._breaks, self._continues
        with self.report.muted():
            for _ in range(_ROUNDS):
                after = self._round(head.fork(), enter, body, condition)
                joined = merged([head, *after])
                joined.reached = True
                stable = joined.values == head.values and joined.memo == head.memo
                head = joined
                if stable:
                    break
            else:
                after = self._round(head.fork(), enter, body, condition)
                head = _only_unchanged(head, after)
        self._breaks, self._continues = [], []
        self._round(head.fork(), enter, body, condition)
        breaks = self._breaks
        if first.values != head.values:
            # What every round shares is little; the first runs with what is known before it.
            with self.report.without_notes():
                self._round(first.fork(), enter, body, condition)
        self._breaks, self._continues = outer
        done = head.fork()
        self.evaluator.state = done
        if condition is not None and not assume(self.evaluator, condition, False):
            done.reached = False
        self.block(else_body)
        self.evaluator.state = merged([self.state, *breaks])

    def _round(self, state: State, enter: Callable[[], None], body: Block, condition: Expression | None) -> list[State]:
        """One walk of a loop body; the states that come back to its head."""
        self._continues = []
        self.evaluator.state = state
        enter()
        if condition is None or assume(self.evaluator, condition, True):
            self.block(body)
        return [s for s in (self.state, *self._continues) if s.reached]

    def _with(self, statement: WithStmt) -> None:
        for expression, target in zip(statement.expr, statement.target, strict=True):
            self._discard(expression)
            if target is not None:
                self.evaluator.assign(target, UNKNOWN_VALUE)
        self.block(statement.body)

    def _try(self, statement: TryStmt) -> None:
        before = self.state.fork()
        self.block(statement.body)
        # An exception may come from anywhere in the body.
        failed = merged([before, self.state])
        failed.reached = True
        self.block(statement.else_body)
        ends = [self.state]
        for handler in statement.handlers:
            self.evaluator.state = failed.fork()
            self.block(handler)
            ends.append(self.state)
        self.evaluator.state = merged(ends)
        if statement.finally_body is not None:
            reached = self.state.reached
            self.state.reached = True
            self.block(statement.finally_body)
            self.state.reached = self.state.reached and reached

    def _match(self, statement: MatchStmt) -> None:
        self._discard(statement.subject)
        before = self.state
        ends = [before.fork()]
        for guard, body in zip(statement.guards, statement.bodies, strict=True):
            self.evaluator.state = before.fork()
            if guard is not None:
                self._discard(guard)
            self.block(body)
            ends.append(self.state)
        self.evaluator.state = merged(ends)

    def _assert(self, statement: AssertStmt) -> None:
        self._discard(statement.expr)
        if not assume(self.evaluator, statement.expr, True):
            self.state.reached = False

    def _raise(self, statement: RaiseStmt) -> None:
        if statement.expr is not None:
            self._discard(statement.expr)
        self.state.reached = False

    def _break(self, statement: BreakStmt) -> None:
        self._breaks.append(self.state.fork())
        self.state.reached = False

    def _continue(self, statement: ContinueStmt) -> None:
        self._continues.append(self.state.fork())
        self.state.reached = False

    def _delete(self, statement: DelStmt) -> None:
        if isinstance(statement.expr, NameExpr) and statement.expr.node is not None:
            self.state.values.pop(statement.expr.node, None)

    def _function(self, function: FuncDef) -> None:
        if self._nested is not None:
            self._nested(function, self.evaluator)

    def _overloaded(self, overloaded: OverloadedFuncDef) -> None:
        if isinstance(overloaded.impl, FuncDef):
            self._function(overloaded.impl)


def _is_wider(new: Dims, old: Dims) -> bool:
    if spread_at(new) is not None or spread_at(old) is not None:
        return False
    if len(new) != len(old):
        return len(new) > len(old)
    return any(
        isinstance(a, Axis) and isinstance(b, Axis) and b.is_one and a.known and not a.is_one and not a.maybe_one
        for a, b in zip(new, old, strict=True)
    )


def _only_unchanged(head: State, after: list[State]) -> State:
    """What a loop still changed after several rounds is not known at its head."""
    result = head.fork()
    for place, value in head.values.items():
        if any(state.values.get(place) != value for state in after):
            result.values[place] = UNKNOWN_VALUE
    result.memo.sizes = {
        name: size
        for name, size in head.memo.sizes.items()
        if all(state.memo.sizes.get(name) == size for state in after)
    }
    return result
