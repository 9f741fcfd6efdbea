"""Names: which may tempt a writer to write another in their place."""

import ast
import dataclasses
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from veriformer_spec.config import FIELDS

_NEIGHBOURS: Final = (
    ("query", "key", "value"),
    ("query_norm", "key_norm"),
    ("queries", "keys", "values"),
    ("query_positions", "key_positions"),
    ("attention", "cross_attention"),
    ("attention_norm", "cross_attention_norm", "feed_forward_norm"),
    ("hidden", "gate", "output"),
    ("heads", "kv_heads"),
    ("d_model", "d_head", "d_ff"),
    ("d_head", "d_value"),
    ("d_model", "d_input"),
    ("buckets", "max_distance", "heads"),
    ("forwards", "backwards"),
    ("embedding", "target_embedding"),
    ("encoder", "decoder"),
    ("reset", "update", "candidate"),
    ("input", "state"),
    ("table", "segment_table"),
    ("encoder_side", "causal"),
    ("embedding_norm", "final_norm"),
    ("LayerNorm", "RMSNorm"),
    ("layer_norm", "rms_norm"),
    ("sin", "cos"),
    ("min", "max"),
    ("amin", "amax"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("new_zeros", "new_ones"),
    ("sum", "mean"),
    ("cat", "stack"),
    ("softmax", "log_softmax"),
    ("sigmoid", "tanh"),
    ("pre_norm", "post_norm"),
    ("causal", "causal_from_the_start"),
    ("log2", "log"),
    ("log_softmax", "softmax"),
    ("rotary_base", "rotary_scaling"),
    ("dtype", "device"),
    ("float64", "float32"),
    ("score", "ended"),
    ("real_positions", "positions"),
)
"""Attributes that stand close together, in their owner or in a writer's mind."""


_DATA: Final = frozenset({"Float", "Int", "Bool", "Tensor", "int", "float", "str", "bool", "list", "Callable", "Model"})


def swapped_attributes(name: str) -> tuple[str, ...]:
    """The neighbours of an attribute's name."""
    found = [other for group in _NEIGHBOURS if name in group for other in group if other != name]
    return tuple(dict.fromkeys(found))


@dataclasses.dataclass(frozen=True)
class Scope:
    """The names of one function.

    Attributes:
        function: the function.
        module: where it stands.
    """

    function: ast.FunctionDef
    module: ModuleType

    def is_module(self, node: ast.expr) -> bool:
        """Whether an expression is a module, ``torch.nn`` as well as ``heads``."""
        name = ast.unparse(node)
        if any(each.arg == name.partition(".")[0] for each in self._arguments()):
            return False
        return isinstance(self._resolved(name), ModuleType)

    def has(self, owner: ast.expr, name: str) -> bool:
        """Whether the owner has an attribute of that name, as far as is known."""
        if self.is_module(owner):
            return hasattr(self._resolved(ast.unparse(owner)), name)
        if ast.unparse(owner) in {"config", "own.config", "self.config"}:
            return name in FIELDS
        kind = self._resolved(self._kinds.get(ast.unparse(owner), "")) if isinstance(owner, ast.Name) else None
        if not isinstance(kind, type):
            return True
        named = {each for base in kind.__mro__ for each in getattr(base, "__annotations__", {})}
        homes = {base.__module__ for base in kind.__mro__ if base.__module__.startswith("veriformer_reference")}
        written = "".join(Path(str(sys.modules[home].__file__)).read_text() for home in homes)
        return name in named or f"self.{name} = " in written or hasattr(kind, name)

    def _resolved(self, name: str) -> Any:
        """What a dotted name stands for in the chapter."""
        value: Any = self.module
        for part in name.split("."):
            value = getattr(value, part, None)
        return value

    def is_global(self, name: str) -> bool:
        """Whether a name is the chapter's own, and no parameter or variable of the function."""
        return hasattr(self.module, name) and name not in self._kinds and name not in self._bound

    def is_data(self, node: ast.expr) -> bool:
        """Whether an expression is data, as far as its name tells, and no configuration or holder of parameters."""
        return not isinstance(node, ast.Name) or self._kinds.get(node.id, "Float") in _DATA

    def of_one_kind(self, first: ast.expr, second: ast.expr) -> bool:
        """Whether two arguments may be taken for each other, as far as is known."""
        kinds = [self._kinds.get(each.id) if isinstance(each, ast.Name) else None for each in (first, second)]
        return None in kinds or kinds[0] == kinds[1]

    def can_be_called(self, call: ast.Call) -> bool:
        """Whether the function called takes that many arguments, as far as is known: what never runs is no mutant."""
        called = self._resolved(ast.unparse(call.func))
        if called is None or any(keyword.arg is None for keyword in call.keywords):
            return True
        try:
            inspect.signature(called).bind(*call.args, **{str(each.arg): each.value for each in call.keywords})
        except TypeError:
            return False
        except ValueError:
            return True  # written in C, and silent about its arguments
        return True

    def initialises(self, node: ast.Call) -> bool:
        """Whether a call decides on initial values, which are free."""
        return ast.unparse(node.func).startswith("nn.init.")

    def exchangeable(self, name: str, line: int) -> Iterator[str]:
        """Other names of the same kind that mean something at ``line``."""
        kinds = self._kinds
        if name in kinds:
            for other, kind in kinds.items():
                if other != name and kind == kinds[name]:
                    yield other
        bound = self._bound
        if name in bound:
            earlier = [other for other, at in bound.items() if at < line and other != name and other not in kinds]
            yield from earlier[-1:]

    def _arguments(self) -> list[ast.arg]:
        arguments = self.function.args
        return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]

    @functools.cached_property
    def _kinds(self) -> Mapping[str, str]:
        """What each parameter is: ``Float``, ``int``, the name of a class, ..."""
        return {
            each.arg: ast.unparse(each.annotation).partition("[")[0].partition(" |")[0].strip("'\"")
            for each in self._arguments()
            if each.annotation is not None
        }

    @functools.cached_property
    def _bound(self) -> Mapping[str, int]:
        """Local variables, and the last line of the statement that binds each first."""
        found: dict[str, int] = {}
        for statement in ast.walk(self.function):
            if not isinstance(statement, ast.Assign | ast.AnnAssign):
                continue
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found.setdefault(node.id, statement.end_lineno or statement.lineno)
        return found
