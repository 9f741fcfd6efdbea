"""Calls: of functions with a signature, of classes, of modules, of what the rules know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mypy.nodes import (
    ARG_NAMED,
    ARG_POS,
    ARG_STAR,
    ARG_STAR2,
    CallExpr,
    Context,
    TypeInfo,
)
from mypy.types import (
    CallableType,
    Instance,
    TupleType,
    Type,
    TypeVarType,
    get_proper_type,
)

from ..language.broadcasting import Misfit
from ..language.grammar import Kind
from ..language.memo import Memo
from ..language.values import (
    ANY_TENSOR,
    UNKNOWN_VALUE,
    Integer,
    Repeated,
    Sequence,
    SomeSizes,
    Tensor,
    Value,
    present,
    size_of,
)
from ..rules import attention
from . import library, members
from .objects import Chain, Class, Function, Library, Method, Object, Overloads
from .types import Misfitting, misfit, named_fields, shapes_in, value_of

if TYPE_CHECKING:
    from .expressions import Evaluator

MODULE = "torch.nn.modules.module.Module"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; `name` if it was given by keyword."""

    value: Value
    where: Context
    name: str | None = None


@dataclass(slots=True)
class Arguments:
    """All arguments of a call.

    Attributes:
        complete: False if a ``*`` or ``**`` of unknown contents was among them: what
            follows it cannot be given to a parameter.
    """

    items: list[Argument]
    complete: bool = True

    @property
    def positional(self) -> list[Value]:
        """The arguments given by place, in order."""
        return [item.value for item in self.items if item.name is None]

    @property
    def named(self) -> dict[str, Value]:
        """The arguments given by name."""
        return {item.name: item.value for item in self.items if item.name is not None}


def evaluate_call(evaluator: Evaluator, expression: CallExpr) -> Value:
    """What a call gives; what does not fit is reported at its argument."""
    callee = evaluator.evaluate(expression.callee)
    arguments = _arguments(evaluator, expression)
    return call(evaluator, present(callee), arguments, expression)


def call(evaluator: Evaluator, callee: Value, arguments: Arguments, where: CallExpr) -> Value:
    """Call a value."""
    if isinstance(callee, Library):
        return library.call(evaluator, callee.fullname, arguments, where)
    if isinstance(callee, Method):
        return library.call_method(evaluator, callee, arguments, where)
    given = [*arguments.positional, *arguments.named.values()]
    if not isinstance(callee, Class) or any(isinstance(value, Object) and value.path is not None for value in given):
        # Whoever runs now may set the fields of the objects it knows.
        evaluator.state.forget_fields()
    if isinstance(callee, Function):
        return _call_signature(evaluator, callee.name, callee.signature, arguments, where)
    if isinstance(callee, Overloads):
        return _call_overloads(evaluator, callee, arguments, where)
    if isinstance(callee, Class):
        return _construct(evaluator, callee.info, arguments, where)
    if isinstance(callee, Chain):
        return _call_chain(evaluator, callee, arguments, where)
    if isinstance(callee, Object):
        return _call_object(evaluator, callee, arguments, where)
    return UNKNOWN_VALUE


def _arguments(evaluator: Evaluator, expression: CallExpr) -> Arguments:
    result = Arguments([])
    for kind, name, argument in zip(expression.arg_kinds, expression.arg_names, expression.args, strict=True):
        value = evaluator.evaluate(argument)
        if kind == ARG_STAR:
            value = present(value)
            if isinstance(value, Sequence):
                result.items += [Argument(item, argument) for item in value.items]
                if any(isinstance(item, SomeSizes) for item in value.items):
                    result.complete = False
            else:
                result.complete = False
                if isinstance(value, Repeated):
                    # So many of them that no parameter can be told: a list for the rules.
                    result.items.append(Argument(value, argument, "*"))
        elif kind == ARG_STAR2:
            result.complete = False
        else:
            result.items.append(Argument(value, argument, name if kind == ARG_NAMED else None))
    return result


# -- functions with a signature


@dataclass(frozen=True, slots=True)
class _Given:
    """A parameter with the argument it gets."""

    parameter: str
    wanted: Type
    argument: Argument


def _call_signature(
    evaluator: Evaluator,
    name: str,
    signature: CallableType,
    arguments: Arguments,
    where: CallExpr,
) -> Value:
    memo, problems = _fit(signature, arguments)
    for given, problem in problems:
        told = problem.told(f'Argument "{given.parameter}"', "expected")
        evaluator.report.fail(f'{told} (in the call of "{name}")', given.argument.where)
    if problems:
        # What a wrong argument gives is not known: no second error from one mistake.
        return value_of(signature.ret_type, Memo())
    return _returned(signature, arguments, memo)


def _fit(signature: CallableType, arguments: Arguments) -> tuple[Memo, list[tuple[_Given, Misfitting]]]:
    """Give each argument to its parameter, and see which do not fit."""
    memo = Memo()
    pairs = _paired(signature, arguments)
    for given in pairs:
        value = present(given.argument.value)
        if isinstance(value, Integer):
            memo.integers[given.parameter] = value.size
    problems: list[tuple[_Given, Misfitting]] = []
    for given in pairs:
        problem = misfit(given.wanted, given.argument.value, memo)
        if problem is not None:
            problems.append((given, problem))
    if not problems:
        # Names that a later argument bound: sums and products can only be told now.
        for given in pairs:
            if _has_expression(given.wanted):
                problem = misfit(given.wanted, given.argument.value, memo)
                if problem is not None:
                    problems.append((given, problem))
    return memo, problems


def _has_expression(wanted: Type) -> bool:
    return any(item.kind is Kind.EXPRESSION for declared in shapes_in(wanted) for item in declared.items)


def _paired(signature: CallableType, arguments: Arguments) -> list[_Given]:
    kinds, names, types = signature.arg_kinds, signature.arg_names, signature.arg_types
    places = [at for at, kind in enumerate(kinds) if kind.is_positional()]
    star = next((at for at, kind in enumerate(kinds) if kind == ARG_STAR), None)
    result: list[_Given] = []
    taken = 0
    for argument in arguments.items:
        if argument.name is None:
            if isinstance(argument.value, SomeSizes):
                break
            at = places[taken] if taken < len(places) else star
            taken += 1
        elif argument.name in names:
            at = names.index(argument.name)
        else:
            at = next((at for at, kind in enumerate(kinds) if kind == ARG_STAR2), None)
        if at is not None and argument.name != "*":
            result.append(_Given(names[at] or str(at + 1), types[at], argument))
    return result


def _returned(signature: CallableType, arguments: Arguments, memo: Memo) -> Value:
    """The value of the call: type variables stand for what was given for them."""
    returned = get_proper_type(signature.ret_type)
    if isinstance(returned, TypeVarType):
        for given in _paired(signature, arguments):
            wanted = get_proper_type(given.wanted)
            if isinstance(wanted, TypeVarType) and wanted.id == returned.id:
                return given.argument.value
    return value_of(signature.ret_type, memo)


def _call_overloads(evaluator: Evaluator, callee: Overloads, arguments: Arguments, where: CallExpr) -> Value:
    """The first signature that fits; if none does, nothing is known."""
    fitting: list[Value] = []
    for signature in callee.signatures:
        memo, problems = _fit(signature, arguments)
        if not problems:
            fitting.append(_returned(signature, arguments, memo))
    if fitting:
        first = fitting[0]
        return first if all(value == first for value in fitting) else UNKNOWN_VALUE
    if callee.signatures:
        return _call_signature(evaluator, callee.name, callee.signatures[0], arguments, where)
    return UNKNOWN_VALUE


# -- classes and their objects


def _construct(evaluator: Evaluator, info: TypeInfo, arguments: Arguments, where: CallExpr) -> Value:
    if info.fullname in ("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
        data = arguments.named.get("data", UNKNOWN_VALUE)
        value = present(arguments.positional[0] if arguments.positional else data)
        return value if isinstance(value, Tensor) else ANY_TENSOR
    if info.tuple_type is not None:
        return _construct_tuple(evaluator, info, info.tuple_type, arguments, where)
    if info.has_base("torch._tensor.Tensor"):
        return ANY_TENSOR
    if info.fullname in library.BUILTIN_CLASSES:
        return library.call(evaluator, info.fullname, arguments, where)
    module = _construct_module(info, arguments)
    if module is not None:
        return module
    made = Instance(info, [])
    init = info.get("__init__")
    node = init.node if init is not None else None
    signature = members.of_symbol(evaluator, node, Object(made), "__init__")
    if not isinstance(signature, Function) or not any(shapes_in(signature.signature)):
        return Object(made)
    memo, problems = _fit(signature.signature, arguments)
    for given, problem in problems:
        told = problem.told(f'Argument "{given.parameter}"', "expected")
        evaluator.report.fail(f'{told} (in the call of "{info.name}")', given.argument.where)
    bound = tuple(memo.sizes.items()) if "dataclass" in info.metadata and not problems else ()
    return Object(made, None, bound)


_SIZES = {
    "torch.nn.modules.linear.Linear": ("in_features", "out_features"),
    "torch.nn.modules.sparse.Embedding": ("num_embeddings", "embedding_dim"),
}
"""Modules whose sizes the rules use, and what they are called."""


def _construct_module(info: TypeInfo, arguments: Arguments) -> Value | None:
    """One of torch's modules that says more than its class; None for any other."""
    if info.fullname.endswith(".container.ModuleList") and arguments.complete:
        given = present(arguments.positional[0]) if arguments.positional else UNKNOWN_VALUE
        return given if isinstance(given, Sequence | Repeated) else None
    if info.fullname.endswith(".container.Sequential") and arguments.complete:
        return Chain(tuple(arguments.positional)) if arguments.positional else None
    names = _SIZES.get(info.fullname)
    if names is None:
        return None
    given_sizes = dict(zip(names, arguments.positional, strict=False)) | arguments.named
    sizes = tuple((name, size_of(given_sizes.get(name, UNKNOWN_VALUE))) for name in names)
    return Object(Instance(info, []), None, sizes)


def _construct_tuple(
    evaluator: Evaluator,
    info: TypeInfo,
    found: TupleType,
    arguments: Arguments,
    where: CallExpr,
) -> Value:
    fields = named_fields(found)
    if fields is None or len(fields) != len(found.items):
        return UNKNOWN_VALUE
    signature = CallableType(
        arg_types=list(found.items),
        arg_kinds=[ARG_POS] * len(fields),
        arg_names=list(fields),
        ret_type=found,
        fallback=found.partial_fallback,
        name=info.name,
    )
    return _call_signature(evaluator, info.name, signature, arguments, where)


def _call_object(evaluator: Evaluator, callee: Object, arguments: Arguments, where: CallExpr) -> Value:
    """A module is called through ``forward``, anything else through ``__call__``."""
    info = callee.instance.type
    own = _defined(info, "__call__")
    if info.has_base(MODULE) and (own is None or own[0].fullname.startswith("torch.")):
        found = _defined(info, "forward")
        if found is None:
            return UNKNOWN_VALUE
        if found[0].fullname.startswith("torch."):
            return _call_torch_module(evaluator, found[0], callee, arguments, where)
        name = "forward"
    elif own is not None:
        name, found = "__call__", own
    else:
        return UNKNOWN_VALUE
    method = members.of_symbol(evaluator, found[0].names[name].node, callee, name)
    if isinstance(method, Function):
        return _call_signature(evaluator, info.name, method.signature, arguments, where)
    if isinstance(method, Overloads):
        return _call_overloads(evaluator, method, arguments, where)
    return UNKNOWN_VALUE


def _call_chain(evaluator: Evaluator, callee: Chain, arguments: Arguments, where: CallExpr) -> Value:
    for part in callee.parts:
        value = call(evaluator, part, arguments, where)
        arguments = Arguments([Argument(value, where)])
    return arguments.positional[0] if arguments.positional else UNKNOWN_VALUE


def _call_torch_module(
    evaluator: Evaluator,
    info: TypeInfo,
    callee: Object,
    arguments: Arguments,
    where: CallExpr,
) -> Value:
    values = arguments.positional or list(arguments.named.values())
    try:
        return attention.module(info.name, [present(value) for value in values], dict(callee.sizes))
    except Misfit as problem:
        evaluator.report.fail(str(problem), where)
        return ANY_TENSOR


def _defined(info: TypeInfo, name: str) -> tuple[TypeInfo, str] | None:
    """The class of the inheritance that defines a member."""
    return next(((base, name) for base in info.mro if name in base.names), None)
