"""Constructor: which expression over ``config`` each parameter gets."""

import dataclasses
import inspect
import itertools
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from veriformer.assumed import names
from veriformer.assumed.draft import Origin
from veriformer_spec.role import LAYERED, Role

MOST = 48
"""Ways to read the names, at most."""


@dataclasses.dataclass(frozen=True)
class Construction:
    """One way to construct.

    Attributes:
        made: the expression.
        said: parameter -> what it gets.
        open: parameters that nobody knows what to do with.
        neighbours: other names in the expression, and where they are imported from.
    """

    made: str
    said: Mapping[str, str]
    open: tuple[str, ...] = ()
    neighbours: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    settings: str = ""


@dataclasses.dataclass(frozen=True)
class Way:
    """What one parameter may get; ``expression`` is empty where its default stays."""

    expression: str
    neighbours: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)


Wire = Callable[[type, inspect.Parameter], list[Way]]
"""Ways to give a class's constructor a part that it takes ready made."""


def parameters_of(made: type) -> list[inspect.Parameter]:
    """The parameters of a constructor, without itself."""
    try:
        return list(inspect.signature(made).parameters.values())
    except (TypeError, ValueError):
        return []


def settings_parameter(made: type) -> inspect.Parameter | None:
    """The one parameter that holds all others, if the constructor has such a one."""
    needed = [each for each in parameters_of(made) if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    required = [each for each in needed if each.default is each.empty]
    first = (required or needed)[:1]
    if not first or len(required) > 1:
        return None
    (each,) = first
    named = names.plain(each.name) in names.SETTINGS
    return each if named or _is_settings(annotation(made, each)) else None


def passes_on(made: type) -> bool:
    """Whether a constructor takes parameters that it does not name."""
    return any(each.kind is each.VAR_KEYWORD for each in parameters_of(made))


def missing_in(error: BaseException | None) -> list[str]:
    """The parameters that a call lacked, as Python says it."""
    said = str(error) if isinstance(error, TypeError) else ""
    return re.findall(r"'(\w+)'", said.partition("missing")[2]) if "missing" in said and "required" in said else []


def annotation(made: type, parameter: inspect.Parameter) -> type | None:
    """The class that a parameter is annotated with."""
    found: Any = parameter.annotation
    if isinstance(found, str):
        try:
            found = typing.get_type_hints(made.__init__).get(parameter.name)  # type: ignore[misc]  # its constructor's hints
        except Exception:  # noqa: BLE001  # annotations may be anything
            return None
    return found if isinstance(found, type) and found is not inspect.Parameter.empty else None


def _is_settings(found: type | None) -> bool:
    if found is None or found.__module__ in ("builtins", "torch", "typing"):
        return False
    known = [each for each in parameters_of(found) if any(names.meanings(each.name, (), Role.ENCODER))]
    return len(known) >= 2


def ways(parameter: inspect.Parameter, beside: Sequence[str], role: Role, said: Mapping[str, object]) -> list[Way]:
    """What one parameter may get, likely things first; nothing where nobody knows.

    Args:
        said: the claims that the user made.
    """
    word, free = names.plain(parameter.name), parameter.default is parameter.empty
    if word in names.BATCH_FIRST:
        return [Way("True")]
    for expression, words in names.FLAGS.items():
        if word in words:
            claimed = names.CLAIM_OF_FLAG[expression] in said
            return [Way(expression)] if claimed or free else [Way("")]
    if word in names.RATES or "drop" in word:
        return [Way("config.dropout")]
    if word in names.RATIOS:
        return [Way("4")] if free else [Way("")]
    if word in names.DEVICES:
        return [Way("'cpu'")] if free else [Way("")]
    meant = list(names.meanings(parameter.name, beside, role, guess=free))  # what has a default can stay as it is
    if isinstance(parameter.default, bool) or (
        parameter.default is not parameter.empty and isinstance(parameter.default, str)
    ):
        return [Way("")]  # an option, whatever it is called
    if "layers" in meant and role not in LAYERED and not free:
        return [Way("")]
    listed = word == "normshape" and parameter.annotation is list
    found = [Way(f"[config.{each}]" if listed else f"config.{each}") for each in meant]
    return found if found or free else [Way("")]


def constructions(
    made: type,
    expression: str,
    role: Role,
    said: Mapping[str, object],
    wire: Wire,
) -> Iterator[Construction]:
    """Every way to construct ``made`` out of a config, likely ones first.

    Args:
        expression: what the class is called.
        wire: asked for what is no size.
    """
    parameters = [each for each in parameters_of(made) if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    beside = [each.name for each in parameters]
    choices: list[list[Way]] = []
    unknown: list[str] = []
    for each in parameters:
        possible = ways(each, beside, role, said)
        if each.default is each.empty:
            possible = [*possible, *wire(made, each)]
        if not possible:
            unknown.append(each.name)
            possible = [Way("...")]
        choices.append(possible)
    # the first choice of every parameter first, then those in which fewest differ from it
    ranked = sorted(
        itertools.islice(itertools.product(*(range(len(each)) for each in choices)), 4096),
        key=lambda taken: (sum(taken), taken),
    )
    for taken in ranked[:MOST]:
        chosen = [options[place] for options, place in zip(choices, taken, strict=True)]
        given = {each.name: way for each, way in zip(parameters, chosen, strict=True) if way.expression}
        positional = {each.name for each in parameters if each.kind is each.POSITIONAL_ONLY}
        listed = [way.expression if name in positional else f"{name}={way.expression}" for name, way in given.items()]
        neighbours = {name: where for way in given.values() for name, where in way.neighbours.items()}
        yield Construction(
            f"{expression}({', '.join(listed)})",
            {name: way.expression for name, way in given.items()},
            tuple(unknown),
            neighbours,
        )


def neighbours_of(origin: Origin) -> dict[str, type]:
    """Classes of the module that a class stands in, by name."""
    return {
        name: each for name, each in vars(origin.module).items() if isinstance(each, type) and not name.startswith("_")
    }
