"""Walks an expression: reports what does not fit, and says what is known of its value."""

from collections.abc import Callable

from mypy.nodes import (
    AssertTypeExpr,
    AssignmentExpr,
    AwaitExpr,
    CallExpr,
    CastExpr,
    ComparisonExpr,
    ConditionalExpr,
    Context,
    Decorator,
    DictExpr,
    DictionaryComprehension,
    EllipsisExpr,
    Expression,
    FloatExpr,
    FuncDef,
    GeneratorExpr,
    IndexExpr,
    IntExpr,
    ListComprehension,
    ListExpr,
    MemberExpr,
    MypyFile,
    NameExpr,
    OpExpr,
    OverloadedFuncDef,
    RefExpr,
    SetComprehension,
    SetExpr,
    SliceExpr,
    StarExpr,
    StrExpr,
    SuperExpr,
    SymbolNode,
    TupleExpr,
    TypeAlias,
    TypeInfo,
    UnaryExpr,
    Var,
    YieldExpr,
)
from mypy.types import Instance, get_proper_type

from .. import rules
from ..language import axis as axes
from ..language.broadcasting import Misfit
from ..language.dtypes import TORCH_DTYPES
from ..language.memo import Memo
from ..language.values import (
    ANY_TENSOR,
    UNKNOWN_VALUE,
    Dots,
    DtypeOf,
    Integer,
    Nothing,
    Number,
    Repeated,
    Sequence,
    Slice,
    Tensor,
    Text,
    Truth,
    Value,
    is_number,
    join,
    join_all,
    present,
)
from . import assignment, calls, members, sequences
from .narrowing import assume
from .objects import Class, Library, Mapping, Object
from .operators import OPERATORS, arithmetic
from .report import Reporter
from .state import State, path_of
from .types import field_memo, value_of

LIBRARIES = ("torch.", "einops.", "math.", "builtins.", "veriformer_shapes.")


class Evaluator:
    """Evaluates expressions in a state, which assignments inside them may change."""

    def __init__(self, state: State, report: Reporter, owner: TypeInfo | None = None) -> None:
        self.state = state
        self.report = report
        self.owner = owner
        self.made: dict[str, Value] = {}
        """What ``__init__`` put in the fields of ``self`` (see `making`)."""
        self.yields: Callable[[Expression | None, Value], None] | None = None
        self._by_class: dict[type[Expression], Callable[..., Value]] = {
            NameExpr: self._name,
            MemberExpr: self._member,
            CallExpr: self._call,
            IndexExpr: self._index,
            OpExpr: self._operation,
            ComparisonExpr: self._comparison,
            UnaryExpr: self._unary,
            IntExpr: lambda e: Integer(axes.number(e.value, soft=abs(e.value) > 1)),
            FloatExpr: lambda e: Number("float"),
            StrExpr: lambda e: Text(e.value),
            EllipsisExpr: lambda e: Dots(),
            TupleExpr: lambda e: self._display(e.items, "tuple"),
            ListExpr: lambda e: self._display(e.items, "list"),
            SetExpr: lambda e: self._display(e.items, "set"),
            DictExpr: self._dict,
            SliceExpr: self._slice,
            ConditionalExpr: self._conditional,
            AssignmentExpr: self._walrus,
            ListComprehension: lambda e: self._generator(e.generator),
            SetComprehension: lambda e: self._generator(e.generator),
            GeneratorExpr: self._generator,
            DictionaryComprehension: self._dict_comprehension,
            StarExpr: lambda e: self.evaluate(e.expr),
            CastExpr: self._cast,
            AssertTypeExpr: lambda e: self.evaluate(e.expr),
            AwaitExpr: lambda e: self.evaluate(e.expr),
            YieldExpr: self._yield,
            SuperExpr: self._super,
        }

    def evaluate(self, expression: Expression) -> Value:
        """What is known of the value of an expression."""
        method = self._by_class.get(type(expression))
        return UNKNOWN_VALUE if method is None else method(expression)

    def apply(self, name: str, positional: list[Value], named: dict[str, Value], where: Context) -> Value:
        """Apply a rule of the table; what fails is reported here."""
        try:
            return rules.apply(name, positional, named)
        except Misfit as problem:
            text = str(problem)
            self.report.fail(text[:1].upper() + text[1:], where)
            return ANY_TENSOR

    # -- names and fields

    def _name(self, expression: NameExpr) -> Value:
        node = expression.node
        if node is not None and node in self.state.values:
            return self.state.values[node]
        if expression.fullname in ("builtins.True", "builtins.False"):
            return Truth(expression.fullname == "builtins.True")
        if expression.fullname == "builtins.None":
            return Nothing()
        return self.of_node(node, expression.fullname, expression.name)

    def of_node(self, node: SymbolNode | None, fullname: str, name: str) -> Value:
        """What a name of this or another module stands for."""
        if isinstance(node, Var):
            declared = get_proper_type(node.type) if node.type is not None else None
            if isinstance(declared, Instance) and declared.type.fullname.endswith("dtype"):
                return DtypeOf(TORCH_DTYPES[name]) if name in TORCH_DTYPES else UNKNOWN_VALUE
            if fullname.startswith(LIBRARIES) and rules.knows(name):
                return Library(fullname)
            # A variable of a module: its axis names are not those of this function.
            return value_of(node.type, field_memo(node.type, name, Memo(), False), name)
        if fullname.startswith(LIBRARIES) and isinstance(node, FuncDef | OverloadedFuncDef | Decorator):
            return Library(fullname)
        if isinstance(node, FuncDef | OverloadedFuncDef | Decorator):
            return members.function_of(node)
        if isinstance(node, TypeInfo):
            return Class(node)
        if isinstance(node, TypeAlias):
            target = get_proper_type(node.target)
            return Class(target.type) if isinstance(target, Instance) else UNKNOWN_VALUE
        if node is None and fullname.startswith(LIBRARIES):
            return Library(fullname)
        return UNKNOWN_VALUE

    def _member(self, expression: MemberExpr) -> Value:
        base = expression.expr
        if isinstance(base, RefExpr) and isinstance(base.node, MypyFile):
            return self.of_node(expression.node, expression.fullname or "", expression.name)
        path = path_of(expression)
        if path is not None and path in self.state.values:
            return self.state.values[path]
        return members.attribute(self, self.evaluate(base), expression, path)

    def _super(self, expression: SuperExpr) -> Value:
        info = expression.info
        for base in info.mro[1:] if info is not None else []:
            if expression.name in base.names:
                return members.of_symbol(
                    self,
                    base.names[expression.name].node,
                    Object(Instance(base, []), "self"),
                    expression.name,
                )
        return UNKNOWN_VALUE

    # -- calls, indexing

    def _call(self, expression: CallExpr) -> Value:
        return calls.evaluate_call(self, expression)

    def _index(self, expression: IndexExpr) -> Value:
        base = present(self.evaluate(expression.base))
        index = self.evaluate(expression.index)
        if isinstance(base, Tensor):
            return self.apply("getitem", [base, index], {}, expression)
        if isinstance(base, Sequence | Repeated):
            return sequences.item(base, index)
        if isinstance(base, Mapping):
            return base.item
        return UNKNOWN_VALUE

    def _slice(self, expression: SliceExpr) -> Value:
        parts = (expression.begin_index, expression.end_index, expression.stride)
        return Slice(*(None if part is None else self.evaluate(part) for part in parts))

    # -- operators

    def _operation(self, expression: OpExpr) -> Value:
        if expression.op in ("and", "or"):
            return self._boolean(expression)
        left, right = self.evaluate(expression.left), self.evaluate(expression.right)
        return self.operate(expression.op, left, right, expression)

    def operate(self, operator: str, left: Value, right: Value, where: Context) -> Value:
        """A binary operator between two values."""
        left, right = present(left), present(right)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            if operator not in OPERATORS or isinstance(left, Sequence) or isinstance(right, Sequence):
                return UNKNOWN_VALUE
            return self.apply(OPERATORS[operator], [left, right], {}, where)
        if isinstance(left, Sequence | Repeated) or isinstance(right, Sequence | Repeated):
            return sequences.operate(operator, left, right)
        if is_number(left) and is_number(right):
            return arithmetic(operator, left, right)
        return UNKNOWN_VALUE

    def _boolean(self, expression: OpExpr) -> Value:
        left = self.evaluate(expression.left)
        before = self.state
        self.state = before.fork()
        assume(self, expression.left, expression.op == "and")
        right = self.evaluate(expression.right)
        self.state = before
        if expression.op == "or":
            # `a or b` is a only where a is true, hence not None.
            return right if isinstance(left, Nothing) else join(present(left), right)
        return join(left, right)

    def _comparison(self, expression: ComparisonExpr) -> Value:
        values = [present(self.evaluate(operand)) for operand in expression.operands]
        if len(values) == 2 and any(isinstance(value, Tensor) for value in values):
            operator = OPERATORS.get(expression.operators[0])
            if operator is not None:
                return self.apply(operator, values, {}, expression)
        return Number("bool") if not any(v == UNKNOWN_VALUE for v in values) else UNKNOWN_VALUE

    def _unary(self, expression: UnaryExpr) -> Value:
        value = present(self.evaluate(expression.expr))
        if expression.op == "not":
            return Number("bool")
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Integer) and expression.op == "-":
            return Integer(axes.multiply(axes.number(-1), value.size))
        return Number("int") if isinstance(value, Truth) else value if is_number(value) else (UNKNOWN_VALUE)

    # -- displays and comprehensions

    def _display(self, items: list[Expression], kind: str) -> Value:
        values: list[Value] = []
        for item in items:
            value = self.evaluate(item)
            if not isinstance(item, StarExpr):
                values.append(value)
            elif isinstance(value, Sequence):
                values += value.items
            elif isinstance(value, Repeated):
                return Repeated(
                    join_all(
                        [
                            *values,
                            value.item,
                            *(self.evaluate(other) for other in items if not isinstance(other, StarExpr)),
                        ]
                    )
                )
            else:
                return UNKNOWN_VALUE
        return Sequence(tuple(values), kind) if kind != "set" else Repeated(join_all(values))

    def _dict(self, expression: DictExpr) -> Value:
        values: list[Value] = []
        for key, item in expression.items:
            if key is None:
                return UNKNOWN_VALUE
            self.evaluate(key)
            values.append(self.evaluate(item))
        return Mapping(join_all(values))

    def _conditional(self, expression: ConditionalExpr) -> Value:
        self.evaluate(expression.cond)
        before = self.state
        values: list[Value] = []
        for branch, truth in ((expression.if_expr, True), (expression.else_expr, False)):
            self.state = before.fork()
            if assume(self, expression.cond, truth):
                values.append(self.evaluate(branch))
        self.state = before
        return join_all(values)

    def _walrus(self, expression: AssignmentExpr) -> Value:
        value = self.evaluate(expression.value)
        if expression.target.node is not None:
            self.state.values[expression.target.node] = value
        return value

    def _generator(self, expression: GeneratorExpr) -> Value:
        before = self.state
        self.state = before.fork()
        self._enter_loops(expression)
        value = self.evaluate(expression.left_expr)
        self.state = before
        return Repeated(value)

    def _dict_comprehension(self, expression: DictionaryComprehension) -> Value:
        before = self.state
        self.state = before.fork()
        self._enter_loops(expression)
        value = self.evaluate(expression.value)
        self.state = before
        return Mapping(value)

    def _enter_loops(self, expression: GeneratorExpr | DictionaryComprehension) -> None:
        for target, source, conditions in zip(
            expression.indices, expression.sequences, expression.condlists, strict=True
        ):
            self.assign(target, sequences.element(self.evaluate(source)))
            for condition in conditions:
                self.evaluate(condition)
                assume(self, condition, True)

    def _cast(self, expression: CastExpr) -> Value:
        value = self.evaluate(expression.expr)
        wanted = value_of(expression.type, self.state.memo)
        return value if wanted in (UNKNOWN_VALUE, ANY_TENSOR) else wanted

    def _yield(self, expression: YieldExpr) -> Value:
        value = self.evaluate(expression.expr) if expression.expr is not None else Nothing()
        if self.yields is not None:
            self.yields(expression.expr, value)
        return UNKNOWN_VALUE

    def assign(self, target: Expression, value: Value, where: Context | None = None) -> None:
        """Give a value to a variable, a field, an item, or several of them."""
        assignment.assign(self, target, value, where)
