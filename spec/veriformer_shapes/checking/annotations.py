"""Reads ``Float[Tensor, "b t"]`` where mypy meets it: the hook for ``typing.Annotated``.

For a type checker jaxtyping's classes are all spelled ``Annotated``; which of them was
written is told by the name in the source and by the imports of the file.
"""

from collections.abc import Iterable

from mypy.errorcodes import ErrorCode
from mypy.nodes import ImportBase, ImportFrom, MypyFile
from mypy.plugin import AnalyzeTypeContext
from mypy.typeanal import TypeAnalyser
from mypy.types import (
    AnyType,
    EllipsisType,
    Instance,
    RawExpressionType,
    Type,
    TypeOfAny,
    UnboundType,
    UnionType,
    get_proper_type,
)

from ..language.dtypes import DTYPES
from ..language.grammar import AnnotationProblem, parse
from .marks import declared_of, is_tensor, marked

TENSOR_SHAPE = ErrorCode("tensor-shape", "Check the shapes of tensors", "Tensors")

ANNOTATED = frozenset({"typing.Annotated", "typing_extensions.Annotated"})

_SCALARS = frozenset({"builtins.int", "builtins.float", "builtins.bool", "builtins.complex"})
"""jaxtyping takes Python numbers as tensors with no axes."""


def analyze_annotated(context: AnalyzeTypeContext) -> Type:
    """What mypy itself makes of ``Annotated[inner, ...]``, with the shape put on it."""
    unbound, analyser = context.type, context.api
    assert isinstance(analyser, TypeAnalyser)
    if len(unbound.args) < 2:
        context.api.fail(
            "Annotated[...] must have exactly one type argument and at least one annotation",
            unbound,
        )
        return AnyType(TypeOfAny.from_error)
    inner = analyser.anal_type(unbound.args[0], allow_typed_dict_special_forms=analyser.allow_typed_dict_special_forms)
    tree = getattr(analyser.api, "cur_mod_node", None)
    dtype = dtype_behind(unbound.name, tree.imports if isinstance(tree, MypyFile) else ())
    if dtype is None:
        return inner
    return _with_shape(context, analyser, inner, dtype)


def _with_shape(context: AnalyzeTypeContext, analyser: TypeAnalyser, inner: Type, dtype: str) -> Type:
    unbound = context.type
    text = shape_text(unbound.args[1])
    # `Float[NotRequired[...], ...]` and the like are not for get_proper_type.
    if text is None or type(inner).__name__ in ("RequiredType", "ReadOnlyType"):
        return inner
    try:
        parse(text)
    except AnnotationProblem as problem:
        analyser.fail(f'Shape "{text}" cannot be read: {problem}', unbound, code=TENSOR_SHAPE)
        return inner
    proper = get_proper_type(inner)
    if isinstance(proper, UnionType):
        return UnionType(
            [_put(analyser, item, dtype, text) for item in proper.items],
            proper.line,
            proper.column,
        )
    if isinstance(proper, Instance) and not is_tensor(proper) and not _may_have_shape(proper):
        analyser.fail(
            f'Shape "{text}" is put on "{proper.type.name}", which is not a tensor; write {dtype}[Tensor, ...]',
            unbound,
            code=TENSOR_SHAPE,
        )
        return inner
    return _put(analyser, inner, dtype, text)


def _put(analyser: TypeAnalyser, inner: Type, dtype: str, text: str) -> Type:
    proper = get_proper_type(inner)
    if not isinstance(proper, Instance) or not is_tensor(proper):
        return inner
    already = declared_of(proper)
    if already is not None:
        # `Float[Float[Tensor, "t d"], "b"]` is "b t d".
        dtype = dtype if DTYPES[dtype] <= already.dtypes else already.dtype_name
        text = f"{text} {already}"
    return marked(proper, dtype, " ".join(text.split()), analyser.named_type("builtins.str"))


def _may_have_shape(found: Instance) -> bool:
    """Arrays of other libraries, and what only the run can tell, are left alone."""
    info = found.type
    return (
        info.fullname in _SCALARS
        or info.fullname == "builtins.object"
        or info.fallback_to_any
        or info.is_protocol
        or info.get("shape") is not None
        or info.get("__getattr__") is not None
    )


def dtype_behind(local: str, imports: Iterable[ImportBase]) -> str | None:
    """The jaxtyping class behind a name: ``Float``, ``jaxtyping.Int``, ``I`` imported as such."""
    module, _, last = local.rpartition(".")
    if not module:
        for statement in imports:
            if isinstance(statement, ImportFrom) and statement.id.startswith("jaxtyping"):
                for name, alias in statement.names:
                    if (alias or name) == local:
                        return name if name in DTYPES else None
    return last if last in DTYPES else None


def shape_text(found: Type) -> str | None:
    """The shape string; mypy's parser has already tried to read it as a type."""
    if isinstance(found, RawExpressionType):
        return found.literal_value if isinstance(found.literal_value, str) else None
    if isinstance(found, EllipsisType):
        return "..."
    if isinstance(found, UnboundType | UnionType):
        return found.original_str_expr
    return None
