"""The same state: NEW is given OLD's parameters and buffers.

By name where names agree; by shape where each shape is there once; in order, and fused or parted, where what comes out then proves
that it is right. Anything else is refused: a guess that is wrong would be told as a difference of the code.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from veriformer.comparison.made import COMPILED

Values = dict[str, Tensor]
Convert = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""From OLD's ``state_dict`` to NEW's."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    """A way to give one module another's state.

    Attributes:
        how: in words.
        certain: whether it can only be right; otherwise what comes out has to show it.
        run: gives the second module the first one's state.
    """

    how: str
    certain: bool
    run: Callable[[nn.Module, nn.Module], None]


def tensors(module: nn.Module) -> Values:
    """Every parameter, once, and every buffer that is saved, by its name; the name of a compiled module is left out."""
    found: Values = {}
    for name, each in saved(module).items():
        if not any(each is other for other in found.values()):
            found[name] = each
    return found


def saved(module: nn.Module) -> Values:
    """The same, and a tensor that has several names under each of them."""
    kept = module.state_dict(keep_vars=True)
    return {name.replace(f"{COMPILED}.", ""): each for name, each in kept.items() if isinstance(each, Tensor)}


def weights(module: nn.Module) -> Values:
    """The parameters alone."""
    return {name: each for name, each in tensors(module).items() if isinstance(each, nn.Parameter)}


def transfers(old: nn.Module, new: nn.Module) -> Iterator[Transfer]:
    """Every way that is known, the surest first; each is to be tried only where none before it held."""
    before, after = weights(old), weights(new)
    if _have_each_others_names(old, new):
        yield Transfer("by name", True, _named)  # its field's name is in sight
        return
    renamed = _without_prefixes(before, after)
    if renamed is not None:
        yield Transfer("by name, but for a prefix", True, _by_pairs(lambda *_: renamed))  # as above
        return
    unique = _by_shape(before, after)
    if unique is not None:
        yield Transfer("by name and shape: every shape that is left is there once", True, _by_pairs(_by_shape))
        return
    if _in_order(before, after) is not None:
        yield Transfer("in order, which what comes out confirms", False, _by_pairs(_in_order))
    for by in (0, 1):
        joined = _joiner(by)
        if joined(before, after) is not None:
            words = "with fused weights parted or parted ones joined, which what comes out confirms"
            yield Transfer(words, False, _by_recipe(joined))


def converted(convert: Convert) -> Transfer:
    """By the caller's own function."""

    def run(old: nn.Module, new: nn.Module) -> None:
        new.load_state_dict(dict(convert(old.state_dict())), strict=True)

    return Transfer("by the function that was given", True, run)  # its field's name is in sight


def differences(old: nn.Module, new: nn.Module, *, values: str) -> list[str]:
    """What of the two states differs, in a line each, before anything was copied.

    Args:
        values: ``all``, or ``buffers`` where parameters are drawn and need not be equal.
    """
    before, after = tensors(old), tensors(new)
    said = []
    for name, one in before.items():
        kind = "parameter" if isinstance(one, nn.Parameter) else "buffer"
        other = after.get(name)
        if other is None:
            said.append(f"{kind} {name} {list(one.shape)} is in OLD alone")
        elif one.shape != other.shape:
            said.append(f"{kind} {name} is {list(one.shape)} in OLD and {list(other.shape)} in NEW")
        elif one.dtype != other.dtype:
            said.append(f"{kind} {name} is {one.dtype} in OLD and {other.dtype} in NEW")
        elif (kind == "buffer" or values == "all") and not torch.equal(one.detach(), other.detach()):
            far = float((one.detach().double() - other.detach().double()).abs().max())
            said.append(f"{kind} {name} holds other values, up to {far:.3g} apart")
    said += [
        f"{'parameter' if isinstance(each, nn.Parameter) else 'buffer'} {name} {list(each.shape)} is in NEW alone"
        for name, each in after.items()
        if name not in before
    ]
    return said


def shapes(values: Values) -> dict[str, tuple[int, ...]]:
    """The shape of each, by name, in the order of names."""
    return {name: tuple(each.shape) for name, each in sorted(values.items())}


def _have_each_others_names(old: nn.Module, new: nn.Module) -> bool:
    """Whether each has every weight of the other under its name; one of them may tie what the other does not."""
    sides = (old, new), (new, old)
    return all(
        name in saved(other) and saved(other)[name].shape == each.shape
        for one, other in sides
        for name, each in weights(one).items()
    )


def _named(old: nn.Module, new: nn.Module) -> None:
    before, after = saved(old), tensors(new)
    _copy((before[name], each) for name, each in after.items() if name in before and before[name].shape == each.shape)


Pairs = dict[str, str]
"""NEW's name -> OLD's."""


def _by_pairs(paired: Callable[[Values, Values], Pairs | None]) -> Callable[[nn.Module, nn.Module], None]:
    def run(old: nn.Module, new: nn.Module) -> None:
        before, after = weights(old), weights(new)
        _copy((before[name], after[own]) for own, name in (paired(before, after) or {}).items())
        _named_buffers(old, new)

    return run


def _named_buffers(old: nn.Module, new: nn.Module) -> None:
    before = {name: each for name, each in tensors(old).items() if not isinstance(each, nn.Parameter)}
    _copy(
        (before[name], each)
        for name, each in tensors(new).items()
        if name in before and before[name].shape == each.shape
    )


def _without_prefixes(before: Values, after: Values) -> Pairs | None:
    """Names that are equal once what all of one side begin with is taken away."""
    bare_before, bare_after = _bare(before), _bare(after)
    if {name: before[full].shape for name, full in bare_before.items()} != {
        name: after[full].shape for name, full in bare_after.items()
    }:
        return None
    return {full: bare_before[name] for name, full in bare_after.items()}


def _bare(values: Values) -> dict[str, str]:
    words = [name.split(".") for name in values]
    common = 0
    while words and all(len(each) > common + 1 for each in words) and len({each[common] for each in words}) == 1:
        common += 1
    return {".".join(name.split(".")[common:]): name for name in values}


def _same_names(before: Values, after: Values) -> Pairs:
    return {name: name for name, each in after.items() if name in before and before[name].shape == each.shape}


def _left(before: Values, after: Values) -> tuple[Values, Values]:
    same = _same_names(before, after)
    return (
        {name: each for name, each in before.items() if name not in same},
        {name: each for name, each in after.items() if name not in same},
    )


def _by_shape(before: Values, after: Values) -> Pairs | None:
    one, other = _left(before, after)
    by_shape = {tuple(each.shape): name for name, each in one.items()}
    wanted = {tuple(each.shape): name for name, each in other.items()}
    if by_shape.keys() != wanted.keys() or not len(by_shape) == len(one) == len(wanted) == len(other):
        return None
    return _same_names(before, after) | {wanted[shape]: name for shape, name in by_shape.items()}


def _in_order(before: Values, after: Values) -> Pairs | None:
    one, other = _left(before, after)
    if [tuple(each.shape) for each in one.values()] != [tuple(each.shape) for each in other.values()]:
        return None
    return _same_names(before, after) | dict(zip(other, one, strict=True))


Recipe = list[tuple[tuple[str, ...], tuple[str, ...]]]
"""OLD's names, one below the other, and NEW's, that hold the same rows."""


def _joiner(by: int) -> Callable[[Values, Values], Recipe | None]:
    """Tensors in order, those of one number of axes among themselves, joined or parted along axis ``by`` until both are through."""

    def joined(before: Values, after: Values) -> Recipe | None:
        one, other = _left(before, after)
        recipe: Recipe = [((name,), (name,)) for name in _same_names(before, after)]
        for axes in sorted({each.dim() for each in (*one.values(), *other.values())}):
            found = _joined_in_order(
                [(name, each) for name, each in one.items() if each.dim() == axes],
                [(name, each) for name, each in other.items() if each.dim() == axes],
                min(by, axes - 1),
            )
            if found is None:
                return None
            recipe += found
        return recipe

    return joined


def _joined_in_order(one: Sequence[tuple[str, Tensor]], other: Sequence[tuple[str, Tensor]], by: int) -> Recipe | None:
    recipe: Recipe = []
    left, right = list(one), list(other)
    while left and right:
        taken, given = [left.pop(0)], [right.pop(0)]
        while (rows := _rows(taken, by)) != (wanted := _rows(given, by)):
            short, rest = (taken, left) if rows < wanted else (given, right)
            if not rest:
                return None
            short.append(rest.pop(0))
        across = {tuple(size for axis, size in enumerate(each.shape) if axis != by) for _, each in (*taken, *given)}
        if len(across) != 1:
            return None
        recipe.append((tuple(name for name, _ in taken), tuple(name for name, _ in given)))
    return None if left or right else recipe


def _rows(group: Sequence[tuple[str, Tensor]], by: int) -> int:
    return sum(each.shape[by] if each.dim() else 1 for _, each in group)


def _by_recipe(joined: Callable[[Values, Values], Recipe | None]) -> Callable[[nn.Module, nn.Module], None]:
    def run(old: nn.Module, new: nn.Module) -> None:
        before, after = weights(old), weights(new)
        for names, own in joined(before, after) or ():
            by = _axis([before[name] for name in names], [after[name] for name in own])
            whole = (
                torch.cat([before[name].detach() for name in names], by)
                if len(names) > 1
                else before[names[0]].detach()
            )
            parts = torch.split(whole, [after[name].shape[by] for name in own], by) if len(own) > 1 else (whole,)
            _copy(zip(parts, (after[name] for name in own), strict=True))
        _named_buffers(old, new)

    return run


def _axis(before: Sequence[Tensor], after: Sequence[Tensor]) -> int:
    """The axis along which the two groups have as many rows as each other."""
    axes = before[0].dim()
    return next(
        (by for by in range(axes) if sum(each.shape[by] for each in before) == sum(each.shape[by] for each in after)), 0
    )


@torch.no_grad()
def _copy(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    for value, place in pairs:
        place.copy_(value)
