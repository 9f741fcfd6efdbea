"""A module moved to another dtype: does everything that its output depends on come along?"""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from veriformer import tolerance
from veriformer.case import Case
from veriformer.dispatch import tensors_in
from veriformer.outcome import NotChecked, SubjectError, Violation
from veriformer.precision import word
from veriformer.subjects import Subject


class MixWatch(TorchFunctionMode):
    """Notes operations that meet tensors of two floating-point dtypes.

    Attributes:
        mixed: the operations' names; correct code that computes in float32 inside has some too.
        refused: the one that raised, if one did.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mixed: list[str] = []
        self.refused = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run ``func``, after a look at what it is given."""
        taken = list(tensors_in(args, kwargs))
        floating = {each.dtype for each in taken if each.is_floating_point() and each.dim()}
        name = getattr(func, "__name__", str(func))
        if len(floating) > 1:
            self.mixed.append(name)
        try:
            return func(*args, **(kwargs or {}))
        except Exception:
            if len(floating) > 1:
                self.refused = self.refused or name
            raise


def require_follows(subject: Subject, case: Case, before: torch.dtype, after: torch.dtype) -> None:
    """Build the subject in ``before``, move it to ``after``, and fail if something stayed behind.

    Raises:
        Violation: an operation meets both dtypes, the output is still in ``before``, or it is another.
        NotChecked: the subject is a bare function, or refuses ``after`` however it is built.
    """
    inputs = subject.inputs(case, dtype=torch.float32)
    try:
        instance = subject.instance(case, dtype=before)
        module = instance.module_or_not_checked()
        expected = instance(inputs.to(before))
    except SubjectError:
        if before is subject.dtype:
            raise
        return  # the clause on dtypes will say so
    module.to(after)
    moved = f"built in {word(before)} and moved by .to({after})"
    with MixWatch() as watch:
        try:
            got = instance(inputs.to(after))
        except SubjectError as error:
            if watch.refused:
                raise Violation(
                    f"{moved}, {watch.refused} meets both dtypes: a tensor that is no registered parameter or buffer stayed behind"
                ) from error
            _refuse_if_built_in(subject, case, after)
            raise Violation(f"{moved}, the call raises: {error}") from error
    if got.dtype is not after:
        built = subject.instance(case, dtype=after)(subject.inputs(case, dtype=after))
        if not watch.mixed or built.dtype is got.dtype:  # a cast, and nothing that stayed behind
            raise NotChecked(f"the output is in {word(got.dtype)} whatever goes in; see numerics.dtype-in-is-dtype-out")
        raise Violation(
            f"{moved}, the output is in {word(got.dtype)}, because {watch.mixed[0]} meets both dtypes: a tensor that is no "
            "registered parameter or buffer stayed behind"
        )
    given = inputs.to(after)
    tolerance.require_close(
        inputs.specified(got),
        inputs.specified(expected),
        f"{moved}, it computes something else",
        dtype=torch.float32,
        again=lambda: inputs.specified(instance(given, grad=True)),
    )


def _refuse_if_built_in(subject: Subject, case: Case, dtype: torch.dtype) -> None:
    try:
        subject.instance(case, dtype=dtype)(subject.inputs(case, dtype=dtype))
    except SubjectError as error:
        raise NotChecked(f"the subject refuses {word(dtype)}, moved there or built there: {error}") from error
