"""What ``__init__`` puts in the fields of ``self``: submodules with their sizes, parameters.

To mypy ``self.layers`` is a ModuleList and nothing more; its making says of what.
"""

from mypy.nodes import (
    AssignmentStmt,
    Block,
    Expression,
    FuncDef,
    MemberExpr,
    Statement,
    TupleExpr,
    TypeInfo,
)
from mypy.types import CallableType, get_proper_type

from ..language.axis import named
from ..language.memo import Memo
from ..language.values import Integer, Repeated, Sequence, Tensor, Value
from .expressions import Evaluator
from .objects import Chain, Object
from .report import Reporter
from .state import State, path_of
from .statements import Walker
from .types import value_of


def fields_made(info: TypeInfo, report: Reporter) -> dict[str, Value]:
    """The fields that only ``__init__`` sets, where their making tells more than their type."""
    symbol = info.names.get("__init__")
    init = symbol.node if symbol is not None else None
    if not isinstance(init, FuncDef) or not init.body.body:
        return {}
    state = State(Memo())
    evaluator = Evaluator(state, report, info)
    signature = get_proper_type(init.type) if init.type is not None else None
    types = signature.arg_types if isinstance(signature, CallableType) else []
    for argument, declared in zip(init.arguments[1:], types[1:], strict=False):
        name = argument.variable.name
        value = value_of(declared, Memo(), name)
        if isinstance(value, Integer):
            # Not the function's word of that name: an axis "d_model" is another thing.
            value = Integer(named(f"{info.name}.{name}", soft=True))
        state.values[argument.variable] = value
    with report.muted():
        Walker(evaluator, None).block(init.body)
    changed = _set_elsewhere(info)
    made: dict[str, Value] = {}
    for place, value in evaluator.state.values.items():
        if isinstance(place, str) and place.startswith("self.") and _tells(value):
            name = place.removeprefix("self.")
            if "." not in name and name not in changed:
                made[name] = value
    return made


def _tells(value: Value) -> bool:
    if isinstance(value, Repeated):
        return isinstance(value.item, Object)
    if isinstance(value, Sequence):
        return bool(value.items) and all(isinstance(item, Object) for item in value.items)
    return isinstance(value, Chain | Tensor) or (isinstance(value, Object) and bool(value.sizes))


def _set_elsewhere(info: TypeInfo) -> set[str]:
    """Fields that another method sets as well."""
    found: set[str] = set()
    for statement in info.defn.defs.body:
        function = statement if isinstance(statement, FuncDef) else getattr(statement, "func", None)
        if isinstance(function, FuncDef) and function.name != "__init__":
            _collect(function.body, found)
    return found


def _collect(block: Block, found: set[str]) -> None:
    for statement in block.body:
        if isinstance(statement, AssignmentStmt):
            for target in statement.lvalues:
                _note(target, found)
        for inner in _blocks(statement):
            _collect(inner, found)


def _note(target: Expression, found: set[str]) -> None:
    if isinstance(target, TupleExpr):
        for item in target.items:
            _note(item, found)
    elif isinstance(target, MemberExpr) and path_of(target.expr) == "self":
        found.add(target.name)


def _blocks(statement: Statement) -> list[Block]:
    blocks: list[Block] = []
    for name in ("body", "else_body", "handlers", "finally_body", "bodies"):
        part = getattr(statement, name, None)
        blocks += [b for b in (part if isinstance(part, list) else [part]) if isinstance(b, Block)]
    return blocks
