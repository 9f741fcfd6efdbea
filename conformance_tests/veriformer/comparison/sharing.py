"""One state for both, by the first way that holds; found once, and then used for every size."""

import torch
from torch import nn

from veriformer.comparison.likeness import likeness
from veriformer.comparison.made import Call, Made, Setting
from veriformer.comparison.result import Likeness
from veriformer.comparison.states import Convert, Transfer, converted, shapes, transfers, weights
from veriformer.errors import UsageError
from veriformer.inputs import Inputs
from veriformer.mapping import LayoutError
from veriformer.outcome import NotChecked, SubjectError
from veriformer.subjects import Instance
from veriformer.understanding import mapped_weights, write

UNDERSTOOD = "by the specification's names: the weights of both are understood"
NOTHING = "there is no state: a function without parameters"


class Sharing:
    """How NEW is given OLD's state.

    Attributes:
        how: in words, once it is known.
    """

    def __init__(self, convert: Convert | None = None) -> None:
        self.convert = convert
        self.how = ""
        self.transfer: Transfer | None = None

    def share(self, old: Instance, new: Instance, inputs: Inputs) -> None:
        """Give ``new`` the state of ``old``.

        Raises:
            UsageError: nobody knows how.
        """
        if self.how == UNDERSTOOD:
            _written(old, new)
            return
        call = Call("plain", inputs.passed(), specified=inputs.specified)
        if self.modules(Made("OLD", old.raw, old.module), Made("NEW", new.raw, new.module), call):
            return
        try:
            _written(old, new)
        except (NotChecked, UsageError, LayoutError) as unknown:
            assert old.module is not None
            assert new.module is not None
            raise UsageError(f"{_refusal(old.module, new.module)} ({unknown})") from None
        self.how = UNDERSTOOD

    def plain(self, old: Made, new: Made, call: Call) -> None:
        """The same where no role is known, so that nothing can be understood.

        Raises:
            UsageError: nobody knows how.
        """
        if not self.modules(old, new, call):
            assert old.module is not None
            assert new.module is not None
            raise UsageError(_refusal(old.module, new.module))

    def modules(self, old: Made, new: Made, call: Call) -> bool:
        """Copy by names, shapes or order, if one of them holds."""
        if old.module is None or new.module is None:
            if (old.module is None) != (new.module is None) and any(
                True for each in (old.module, new.module) if each is not None for _ in each.parameters()
            ):
                raise UsageError("one of the two is a function without parameters, and the other has some")
            self.how = NOTHING
            return True
        if self.transfer is None:
            self.transfer = self._found(old, new, call)
            self.how = self.transfer.how if self.transfer is not None else ""
        elif old.module is not new.module:
            self.transfer.run(old.module, new.module)
        return self.transfer is not None

    def _found(self, old: Made, new: Made, call: Call) -> Transfer | None:
        assert old.module is not None
        assert new.module is not None
        ways = [converted(self.convert)] if self.convert is not None else transfers(old.module, new.module)
        for way in ways:
            try:
                way.run(old.module, new.module)
            except (RuntimeError, KeyError, TypeError, ValueError) as failed:
                if self.convert is None:
                    continue
                raise UsageError(f"the function that converts the state: {str(failed).splitlines()[0][:300]}") from None
            if way.certain or _alike(old, new, call):
                return way
        return None


def _written(old: Instance, new: Instance) -> None:
    """By the names that the reference has for the weights of both; they are looked for with gradients, and written without."""
    held = mapped_weights(old, faulty=True)
    mapped_weights(new, faulty=True)
    write(new, held, faulty=True)


def _alike(old: Made, new: Made, call: Call) -> bool:
    """Whether what comes out shows that the state is the same."""
    assert old.module is not None
    setting = Setting(next((each.dtype for each in old.module.parameters()), torch.float64))
    try:
        one, other = old(call, setting), new(call, setting)
        return likeness(one, other, rounds_to=setting.dtype, again=lambda: old(call, setting))[0] != Likeness.DIFFERS
    except SubjectError:
        return False


def _refusal(old: nn.Module, new: nn.Module) -> str:
    before, after = shapes(weights(old)), shapes(weights(new))
    only_old = [f"{name} {list(shape)}" for name, shape in before.items() if after.get(name) != shape]
    only_new = [f"{name} {list(shape)}" for name, shape in after.items() if before.get(name) != shape]
    return (
        f"the state of OLD does not fit NEW, and neither names, shapes nor order say how: OLD has {_some(only_old)}; NEW has "
        f"{_some(only_new)}; give a function from OLD's state_dict to NEW's: convert=, on the command line --convert NAME"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "nothing else"
