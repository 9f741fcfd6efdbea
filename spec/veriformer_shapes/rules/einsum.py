"""Einstein summation, for torch's letters and for einops' words."""

from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, broadcast
from ..language.dtypes import Dtypes, promote
from ..language.shape import ANY_DIMS, Dims, Spread, spread_at
from ..language.values import Tensor, Value
from .table import NotFollowed

_DOTS = "..."


def contract(equation: str, operands: list[Value]) -> Tensor:
    """``torch.einsum``: one letter an axis.

    Raises:
        Misfit: an operand's rank is not that of its term, or one letter is two sizes.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_letters(term) for term in left.split(",")]
    if arrow:
        output = _letters(right)
    else:
        counted = [letter for term in terms for letter in term]
        output = sorted(letter for letter in set(counted) if counted.count(letter) == 1)
        if _DOTS in counted:
            output = [_DOTS, *(letter for letter in output if letter != _DOTS)]
    return _contracted(equation, terms, output, operands)


def contract_words(pattern: str, operands: list[Value]) -> Tensor:
    """``einops.einsum``: one word an axis."""
    left, arrow, right = pattern.partition("->")
    if not arrow or "(" in pattern:
        raise NotFollowed
    return _contracted(pattern, [term.split() for term in left.split(",")], right.split(), operands)


def _letters(term: str) -> list[str]:
    before, dots, after = term.partition(_DOTS)
    return [*before, _DOTS, *after] if dots else list(before)


def _contracted(equation: str, terms: list[list[str]], output: list[str], operands: list[Value]) -> Tensor:
    if len(terms) != len(operands):
        raise Misfit(f'einsum "{equation}": {len(terms)} terms for {len(operands)} tensors')
    sizes: dict[str, Axis] = {}
    runs: list[Dims] = []
    dtypes: Dtypes | None = None
    for term, operand in zip(terms, operands, strict=True):
        if not isinstance(operand, Tensor):
            dtypes = dtypes if dtypes is None else Tensor().dtypes
            if _DOTS in term:
                runs.append(ANY_DIMS)
            continue
        dtypes = operand.dtypes if dtypes is None else promote(dtypes, operand.dtypes)
        run = _matched(equation, term, operand, sizes)
        if run is not None:
            runs.append(run)
    dims: list[Axis | Spread] = []
    for name in output:
        if name == _DOTS:
            together: Dims = ()
            for run in runs:
                together = broadcast(together, run, f'einsum "{equation}"')
            dims += together
        else:
            dims.append(sizes.get(name, UNKNOWN))
    return Tensor(tuple(dims), dtypes if dtypes is not None else Tensor().dtypes)


def _matched(equation: str, term: list[str], operand: Tensor, sizes: dict[str, Axis]) -> Dims | None:
    """Note the size of each letter; what the dots stand for is returned."""
    dims = operand.dims
    if operand.shapeless:
        return ANY_DIMS if _DOTS in term else None
    spread = spread_at(dims)
    shown = " ".join(term) if any(len(word) > 1 for word in term) else "".join(term)
    if _DOTS not in term:
        if spread is not None:
            if len(dims) - 1 > len(term):
                raise Misfit(f'einsum "{equation}": "{shown}" is given "{operand}"')
            return None
        if len(dims) != len(term):
            raise Misfit(f'einsum "{equation}": "{shown}" has {len(term)} axes, the tensor is "{operand}"')
        _note(equation, term, dims, sizes)
        return None
    at = term.index(_DOTS)
    after = len(term) - at - 1
    if spread is None and len(dims) < len(term) - 1:
        raise Misfit(f'einsum "{equation}": "{shown}" has {len(term) - 1} axes or more, the tensor is "{operand}"')
    if spread is not None and (spread < at or len(dims) - spread - 1 < after):
        return ANY_DIMS
    _note(equation, term[:at], dims[:at], sizes)
    _note(equation, term[at + 1 :], dims[len(dims) - after :], sizes)
    return dims[at : len(dims) - after]


def _note(equation: str, names: list[str], dims: Dims, sizes: dict[str, Axis]) -> None:
    for name, dim in zip(names, dims, strict=True):
        assert isinstance(dim, Axis)
        known = sizes.get(name)
        if known is None or not known.known or known.is_one or (known.soft and not dim.soft):
            sizes[name] = dim if dim.known or known is None else known
        if known is None or known.is_one or dim.is_one:
            continue
        if same(known, dim) is Verdict.NO:
            raise Misfit(f'einsum "{equation}": "{name}" is both "{known}" and "{dim}"')
