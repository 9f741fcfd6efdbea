"""Settings: one object that holds every size, as ``Block(config)`` takes it."""

import inspect
from collections.abc import Iterator, Mapping

from veriformer.assumed import names
from veriformer.assumed.constructor import (
    Construction,
    Way,
    annotation,
    constructions,
    neighbours_of,
    parameters_of,
    ways,
)
from veriformer.assumed.draft import Origin
from veriformer_spec.role import Role

NAMESPACE = "SimpleNamespace"


def from_a_class(
    origin: Origin, parameter: inspect.Parameter, role: Role, said: Mapping[str, object]
) -> Iterator[Construction]:
    """The class of the settings, where it is named: by the parameter's annotation, or as the only one beside that is called so."""
    found = annotation(origin.made, parameter)
    if found is None or found.__module__ in ("builtins", "types", "argparse"):
        beside = {name: each for name, each in neighbours_of(origin).items() if _called_settings(name, each, role)}
        if len(beside) != 1:
            return
        (found,) = beside.values()
    where = origin.importing if getattr(origin.module, found.__name__, None) is found else found.__module__
    for each in constructions(found, found.__name__, role, said, lambda *_: []):
        if each.open:
            continue
        yield Construction(
            f"{origin.name}({parameter.name}={each.made})",
            {f"{parameter.name}.{name}": value for name, value in each.said.items()},
            neighbours={found.__name__: (where, found.__name__)},
        )


def _called_settings(name: str, made: type, role: Role) -> bool:
    """Whether a class is called as settings are, and has sizes among its parameters."""
    if not any(word in name.lower() for word in ("config", "args", "settings", "hparams")):
        return False
    return sum(bool(list(names.meanings(each.name, (), role))) for each in parameters_of(made)) >= 2


class Fields:
    """A namespace or a dictionary whose fields become known as the class asks for them."""

    def __init__(self, origin: Origin, parameter: inspect.Parameter, role: Role, said: Mapping[str, object]) -> None:
        self.origin, self.parameter, self.role, self.said = origin, parameter, role, said
        self.asked: list[str] = []
        self.dictionary = False
        self.unknown = ""

    def construction(self) -> Construction:
        """With what was asked for so far."""
        known = {name: self._expression(name) for name in self.asked}
        if self.dictionary:
            fields = ", ".join(f'"{name}": {value}' for name, value in known.items())
            made = f"{{{fields}}}"
        else:
            made = f"{NAMESPACE}({', '.join(f'{name}={value}' for name, value in known.items())})"
        return Construction(
            f"{self.origin.name}(settings)",
            {f"{self.parameter.name}.{name}": value for name, value in known.items()},
            (f"{self.parameter.name}.{self.unknown}",) if self.unknown else (),
            settings=f"settings = {made}",
        )

    def learned(self, error: BaseException | None) -> bool:
        """Whether an error says what else is asked for, so that it is worth another try."""
        if isinstance(error, TypeError) and "not subscriptable" in str(error) and not self.dictionary:
            self.dictionary = True
            return True
        if isinstance(error, AttributeError) and type(error.obj).__name__ == NAMESPACE:
            return self._asked_for(str(error.name))
        if isinstance(error, KeyError) and self.dictionary and error.args:
            return self._asked_for(str(error.args[0]))
        return False

    def _asked_for(self, name: str) -> bool:
        if name in self.asked or name.startswith("__"):
            return False
        if not self._ways(name):
            self.unknown = name
            return False
        self.asked.append(name)
        return True

    def _ways(self, name: str) -> list[Way]:
        field = inspect.Parameter(_as_name(name), inspect.Parameter.KEYWORD_ONLY)
        found = ways(field, self.asked, self.role, self.said)
        return [each for each in found if each.expression]

    def _expression(self, name: str) -> str:
        return self._ways(name)[0].expression


def _as_name(field: str) -> str:
    return field if field.isidentifier() else "unknown_"
