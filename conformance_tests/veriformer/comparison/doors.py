"""``veriformer.compare(old, new)``: from what was passed to two sides that can be called, and what is said of them."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from veriformer.comparison.examples import Example, Examples
from veriformer.comparison.guessing import as_example, guessed
from veriformer.comparison.judging import judged
from veriformer.comparison.made import Made, guarded
from veriformer.comparison.result import Comparison
from veriformer.comparison.roles import Roles
from veriformer.comparison.sharing import Sharing
from veriformer.comparison.states import Convert
from veriformer.declaration import ATTRIBUTE, Declaration, Fixed
from veriformer.errors import UsageError
from veriformer.process_state import restored, seed
from veriformer.targets import declared
from veriformer_spec.config import FIELDS, Config
from veriformer_spec.role import FUNCTIONS


def compare(
    old: Any,
    new: Any,
    *,
    role: str | None = None,
    sizes: Fixed | None = None,
    example: Any = None,
    convert: Convert | None = None,
    options: Mapping[str, Any] | None = None,
    names: tuple[str, str] = ("", ""),
    **claims: object,
) -> Comparison:
    """Whether NEW does what OLD does, with the same state, on the suite's own probes; and where they part if it does not.

    Args:
        old, new: build functions with or without ``@veriformer.subject``, classes, instances, functions, or a module and its
            ``torch.compile``d self. NEW is called as OLD declares.
        role: what both are, where neither says so.
        sizes: those that an instance of a role has.
        example: what both take, where no role is declared: a tensor, a tuple of arguments, a dictionary, or a function that
            returns one. Without it, inputs are found by trying.
        convert: from OLD's ``state_dict`` to NEW's, where names and shapes do not say which is which.
        options: arguments of build functions that are called with other ones than a config.
        names: how the two are called in the report.
        claims: claims of both.

    Raises:
        UsageError: no inputs are known, or no way to give NEW the state of OLD.
        SubjectError: one of them cannot be built.
    """
    said = tuple(given or _name(each) for given, each in zip(names, (old, new), strict=True))
    with restored():
        torch.set_num_threads(1)
        sharing = Sharing(convert)
        world: Roles | Examples
        pair = _declared(old, new, role, sizes, claims)
        if pair is not None and example is None:
            world = Roles(*pair, sharing)
        else:
            world = _by_example(old, new, example, sharing, options or {})
        return judged(world, *said)


def _name(thing: Any) -> str:
    return str(getattr(thing, "__name__", None) or getattr(thing, "name", None) or type(thing).__name__)


def _declaration(thing: Any) -> Declaration | None:
    return thing if isinstance(thing, Declaration) else getattr(thing, ATTRIBUTE, None)


def _declared(
    old: Any, new: Any, role: str | None, sizes: Fixed | None, claims: Mapping[str, object]
) -> tuple[Declaration, Declaration] | None:
    """Both as subjects of one role; None where no role is known, or one that is called in a way of its own."""
    own = _declaration(old), _declaration(new)
    if own == (None, None) and role is None:
        if claims:
            raise UsageError(f"claims ({', '.join(claims)}) need a role: give role= (on the command line: --as ROLE)")
        return None
    known = role or str(next(each.role for each in own if each is not None))
    if role is None and all(each is not None for each in own) and own[0].role != own[1].role:  # type: ignore[union-attr]  # both are there
        raise UsageError(f"OLD is a {own[0].role} and NEW a {own[1].role}: only one role can be compared")  # type: ignore[union-attr]  # as above
    said = next(each for each in (*own, None) if each is not None or role is not None)
    made = []
    for thing, declaration in zip((old, new), own, strict=True):
        inherited = dict(said.claims) if said is not None and declaration is None else {}
        fixed = sizes or (Fixed(**said.sizes) if said is not None and declaration is None and said.sizes else None)
        steps = said.steps if said is not None else None
        made.append(declared(thing, role=known, sizes=fixed, steps=steps, claims={**inherited, **claims}))
    first, second = made
    return None if first.role in FUNCTIONS else (first, second)


def _by_example(old: Any, new: Any, example: Any, sharing: Sharing, options: Mapping[str, Any]) -> Examples:
    own = isinstance(old, nn.Module) and isinstance(new, nn.Module)
    one, other = _made("OLD", old, options), _made("NEW", new, options)
    notes: list[str] = []
    if example is None:
        found, said = guessed(one, other)
        notes.append(said)
    else:
        found = example if isinstance(example, Example) else as_example(example)
    world = Examples(one, other, found, sharing, own=own)
    world.notes += notes
    return world


def _made(name: str, thing: Any, options: Mapping[str, Any]) -> Made:
    """A side that is built: an instance as it is, what a builder builds, or a function that is itself what is compared."""
    declaration = _declaration(thing)
    build: Callable[..., Any] = declaration.build if declaration is not None else thing
    if isinstance(build, nn.Module):
        return Made(name, build, build)
    if not callable(build):
        raise UsageError(
            f"{name} is a {type(thing).__name__}: a build function, a class, a module or a function is compared"
        )
    arguments = _arguments(name, build, options)
    if arguments is None:
        return Made(name, build, None)
    with guarded(f"building {name}"):
        seed(0)
        built = build(*arguments[0], **arguments[1])
    if isinstance(built, tuple) and len(built) == 2 and isinstance(built[0], nn.Module) and callable(built[1]):
        return Made(name, functools.partial(built[1], built[0]), built[0])
    if isinstance(built, nn.Module):
        return Made(name, built, built)
    if callable(built):
        return Made(name, built, None)
    raise UsageError(f"{name} built a {type(built).__name__}, which cannot be called")


def _arguments(name: str, build: Any, options: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]] | None:
    """What a builder is called with; None where this is no builder, but itself what is compared."""
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return [], dict(options)
    required = [
        each
        for each in parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]
    taken = {key: value for key, value in options.items() if key in parameters}
    missing = [each for each in required if each.name not in taken]
    if len(missing) == 1 and missing[0].name.lower() in ("config", "cfg", "_", "_config", "settings", "args"):
        return [Config()], taken
    named = {each.name: getattr(Config(), each.name) for each in missing if each.name in FIELDS}
    unknown = [each.name for each in missing if each.name not in named]
    if unknown and not inspect.isclass(build) and not options:
        return None
    if unknown:
        raise UsageError(
            f"{name} needs {', '.join(unknown)}: give options={{...}} (on the command line: --with {unknown[0]}=...)"
        )
    return [], {**named, **taken}
