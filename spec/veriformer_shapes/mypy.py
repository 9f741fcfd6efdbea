"""The plugin itself: ``plugins = veriformer_shapes.mypy`` in mypy's configuration."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mypy.errors import Errors
from mypy.nodes import FuncDef, MypyFile, TypeAlias, TypeInfo
from mypy.options import Options
from mypy.plugin import (
    AnalyzeTypeContext,
    AttributeContext,
    FunctionContext,
    MethodContext,
    Plugin,
    ReportConfigContext,
)
from mypy.semanal import SemanticAnalyzer
from mypy.typeanal import TypeAnalyser
from mypy.types import Instance, Type, TypeAliasType

from .checking.aliases import restore_shapes, shaped_alias
from .checking.annotations import ANNOTATED, analyze_annotated
from .checking.functions import check_function, check_module, functions_in
from .checking.guard import guarded
from .checking.loaded import keep_marks
from .checking.marks import forget_all, put_back
from .checking.reach import concerns
from .checking.report import Reporter

_T = TypeVar("_T")

_LAST = 99
"""The priority of a patch that runs after mypy's own."""

_NOT_OURS = ("builtins.", "typing.", "torch.", "typing_extensions.", "collections.")


class ShapesPlugin(Plugin):
    """Marks annotations while mypy reads types, and checks each file when mypy is done with it.

    mypy gives no hook for assignments and returns, so a file is walked once in
    `get_additional_indirect_deps`, the last thing mypy asks about it. The daemon does
    not ask when it checks single functions again: there the walk of a function starts
    from the first hook that fires in it.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._errors: Errors | None = None
        self._by_function = options.fine_grained_incremental or not _HAS_LAST_HOOK
        self._inside_alias: set[str] = set()
        self._known: set[str] = set()
        self._scheduled: set[str] = set()
        self._options_of: dict[str, Options] = {}
        forget_all()

    def report_config_data(self, ctx: ReportConfigContext) -> object:
        """Part of each file's cache key: another version of this plugin checks anew."""
        return {"veriformer_shapes": _VERSION}

    def get_type_analyze_hook(self, fullname: str) -> Callable[[AnalyzeTypeContext], Type] | None:
        """Reads the shapes of ``Annotated`` types and of aliases of them, for every type that mypy reads."""
        if len(self._known) != len(self._modules or ()):
            with guarded(fullname, self.options):
                self._look_at_loaded()
        if fullname in ANNOTATED:
            return self._analyze
        if self._is_alias(fullname):
            with guarded(fullname, self.options):
                if self._alias(fullname, shaped_alias) is not None:
                    return lambda context: self._analyze_alias(context, fullname)
        return None

    def _is_alias(self, fullname: str) -> bool:
        if fullname.startswith(_NOT_OURS) or fullname in self._inside_alias:
            return False
        module, _, name = fullname.rpartition(".")
        tree = (self._modules or {}).get(module)
        symbol = tree.names.get(name) if tree is not None else None
        return symbol is not None and isinstance(symbol.node, TypeAlias)

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """Watches calls of functions until it is known where errors go; in the daemon, and where the last hook is missing, all of them."""
        return self._call_seen if self._by_function or self._errors is None else None

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        """Watches calls of methods until it is known where errors go; in the daemon, and where the last hook is missing, all of them."""
        return self._call_seen if self._by_function or self._errors is None else None

    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        """Watches attributes until it is known where errors go; in the daemon, and where the last hook is missing, all of them."""
        return self._attribute_seen if self._by_function or self._errors is None else None

    def get_additional_indirect_deps(self, file: MypyFile) -> set[str]:
        """Checks the file, since mypy asks this last of it; adds no dependency."""
        with guarded(file.fullname, self.options):
            self._finish(file)
        return set()

    def _look_at_loaded(self) -> None:
        """Files that came from the cache since the last time."""
        modules = self._modules or {}
        new, self._known = modules.keys() - self._known, set(modules)
        for name in new:
            if not modules[name].defs:
                keep_marks(modules[name])

    def _finish(self, file: MypyFile) -> None:
        put_back()
        for name, symbol in file.names.items():
            if isinstance(symbol.node, TypeAlias):
                self._alias(f"{file.fullname}.{name}", restore_shapes)
        errors = self._errors
        if errors is None or file.is_stub or file.path in errors.ignored_files:
            return
        if not concerns(file, self._modules or {}):
            return
        options = self._file_options(file)
        check_module(file, Reporter(errors, file, options), options)

    def _file_options(self, tree: MypyFile) -> Options:
        return self._options_of.get(tree.fullname) or self.options.clone_for_module(tree.fullname)

    def _analyze(self, context: AnalyzeTypeContext) -> Type:
        analyser = getattr(context.api, "api", None)
        found = getattr(analyser, "errors", None)
        if isinstance(found, Errors):
            self._errors = found
            if isinstance(analyser, SemanticAnalyzer):
                # With the comments in the file (`# mypy: disable-error-code=...`) applied.
                self._options_of[analyser.cur_mod_node.fullname] = analyser.options
                if self._by_function:
                    self._walk_later(analyser, found)
        return analyze_annotated(context)

    def _walk_later(self, analyser: SemanticAnalyzer, errors: Errors) -> None:
        """In the daemon: walk a file once mypy has read the types of what it checks again.

        A function that calls nothing would be missed otherwise: no hook fires in it.
        """
        tree = analyser.cur_mod_node
        if tree.fullname in self._scheduled or tree.is_stub:
            return
        self._scheduled.add(tree.fullname)

        def walk() -> None:
            """Check the file, once mypy has checked it."""
            self._scheduled.discard(tree.fullname)
            with guarded(tree.fullname, self.options):
                put_back()
                if tree.path not in errors.ignored_files:
                    options = self._file_options(tree)
                    check_module(tree, Reporter(errors, tree, options), options)

        analyser.schedule_patch(_LAST, walk)

    def _analyze_alias(self, context: AnalyzeTypeContext, fullname: str) -> Type:
        """A name of an alias: what mypy makes of it, with the shapes that mypy dropped."""
        self._inside_alias.add(fullname)
        try:
            assert isinstance(context.api, TypeAnalyser)
            result = context.api.visit_unbound_type(context.type)
        finally:
            self._inside_alias.discard(fullname)
        shaped: Type | None = None
        if isinstance(result, TypeAliasType | Instance):
            with guarded(fullname, self.options):
                shaped = self._alias(fullname, shaped_alias)
        return result if shaped is None else shaped

    def _call_seen(self, context: FunctionContext | MethodContext) -> Type:
        self._seen(context.api)
        return context.default_return_type

    def _attribute_seen(self, context: AttributeContext) -> Type:
        self._seen(context.api)
        return context.default_attr_type

    def _seen(self, checker: object) -> None:
        """A hook fired: note where errors go, and in the daemon walk the function it is in."""
        with guarded("a hook", self.options):
            errors, tree = getattr(checker, "errors", None), getattr(checker, "tree", None)
            if not isinstance(errors, Errors) or not isinstance(tree, MypyFile):
                return
            self._errors = errors
            if self._by_function and not tree.is_stub:
                self._walk_current(checker, errors, tree)

    def _walk_current(self, checker: object, errors: Errors, tree: MypyFile) -> None:
        scope = getattr(checker, "tscope", None)
        function = getattr(scope, "function", None)
        if not isinstance(function, FuncDef) or tree.path in errors.ignored_files:
            return
        put_back()
        options = self._file_options(tree)
        for info, candidate in functions_in(tree.defs):
            if candidate is function:
                check_function(function, info, Reporter(errors, tree, options), options)

    def _alias(self, fullname: str, found: Callable[[MypyFile, str, Instance], _T]) -> _T | None:
        """Look at the module-level name `fullname` with one of the functions of `aliases`."""
        module, _, name = fullname.rpartition(".")
        tree = (self._modules or {}).get(module)
        if tree is None or name not in tree.names or not tree.defs:
            return None
        symbol = self.lookup_fully_qualified("builtins.str")
        if symbol is None or not isinstance(symbol.node, TypeInfo):
            return None
        return found(tree, name, Instance(symbol.node, []))


def plugin(version: str) -> type[Plugin]:
    """Called by mypy; `version` is mypy's."""
    if not _HAS_LAST_HOOK:
        print(_OLD.format(version=version), file=sys.stderr)
    return ShapesPlugin


def _sources() -> str:
    """A digest of this package: mypy itself only looks at this one file."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_VERSION = _sources()

_HAS_LAST_HOOK = hasattr(Plugin, "get_additional_indirect_deps")

_OLD = (
    "veriformer_shapes: mypy {version} has no hook at the end of a file (2.4 has); "
    "functions that call nothing are not checked"
)
