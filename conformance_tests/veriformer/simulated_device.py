"""A simulated accelerator: real values on the CPU, and an accelerator's rules on what may meet what.

A tensor on the simulated device is a wrapper that says it is there and holds its values in a CPU tensor. Every operation on one is
run on the values, after a look at its operands: one left on the CPU raises ``LeftOnCpu``, as on CUDA, which accepts from the CPU only
numbers without axes in elementwise operations, index tensors, and what is copied. It stands on torch's backend for Python, which is
private: ``why_not`` says where it cannot be had. A process in which it was registered takes it for its accelerator ever after
(checkpointing does, for one), so it belongs into a process of its own: ``forked.apart``.
"""

# ruff: noqa: SLF001  # what a device is made of is private to torch

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration

from veriformer.dispatch import Watch, mapped, tensors_in

NAME = "simulated"
_aten = torch.ops.aten

_COPIES = {
    _aten.copy_.default,
    _aten._to_copy.default,
    _aten._local_scalar_dense.default,
    _aten._has_compatible_shallow_copy_type.default,
    _aten.set_.source_Storage_storage_offset,
    _aten.fill_.Tensor,
    _aten._pack_padded_sequence.default,
}
"""What moves values between devices, or takes some from the CPU by design."""

_INDEXED = {_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._unsafe_index.Tensor}
"""What CUDA lets a CPU tensor index."""

_ELEMENTWISE = frozenset(
    [
        "add",
        "add_",
        "sub",
        "sub_",
        "rsub",
        "mul",
        "mul_",
        "div",
        "div_",
        "pow",
        "pow_",
        "remainder",
        "remainder_",
        "fmod",
        "floor_divide",
        "true_divide",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "eq_",
        "ne_",
        "lt_",
        "le_",
        "gt_",
        "ge_",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "atan2",
        "lerp",
        "lerp_",
        "where",
        "masked_fill",
        "masked_fill_",
        "index_put",
        "index_put_",
        "fill",
        "copysign",
        "hypot",
        "logical_and",
        "logical_or",
        "logical_xor",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "bitwise_and_",
        "bitwise_or_",
        "xlogy",
        "logaddexp",
        "heaviside",
    ]
)
"""What accepts a CPU number without axes beside a tensor on the device; clamp, addmm, stack and the like do not."""


class LeftOnCpu(RuntimeError):
    """An operation met a tensor on the simulated device and one on the CPU."""


class Unsimulated(RuntimeError):
    """The simulation cannot run this; that says nothing about the subject."""


class OnDevice(Tensor):
    """A tensor that says it is on the simulated device, and holds its values in ``held``, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls: type["OnDevice"], inner: Tensor) -> "OnDevice":  # noqa: PYI034  # it is never subclassed
        """Wrap ``inner``."""
        wrapper: OnDevice = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        wrapper.held = inner
        return wrapper

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # as torch documents for wrappers

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # modes and tensors are called alike
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation on the device."""
        return _run(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # torch's has no types
        return f"OnDevice({self.held})"

    def __format__(self, specification: str) -> str:
        return format(self.held.detach(), specification)

    def tolist(self) -> Any:
        """The values; CUDA copies them as well."""
        return self.held.detach().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """As on CUDA, refused unless forced."""
        if force:
            return self.held.detach().numpy()
        raise _refused("numpy", "numpy() reads CPU memory: call .cpu() first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]  # code that asks means: is it on an accelerator?
        """Whether it is on an accelerator."""
        return True

    def cuda(self, *_: Any, **__: Any) -> "OnDevice":
        """It is on an accelerator already."""
        return self


class Simulation(Watch):
    """While active, tensors can be made on the simulated device.

    Attributes:
        left: what met a CPU tensor, in words, in the order met.
    """

    active: "Simulation | None" = None

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []

    def __enter__(self) -> Any:
        Simulation.active = self
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(
            True
        )  # torch.tensor(numbers, device=...) makes them on the CPU and moves them
        return super().__enter__()  # type: ignore[no-untyped-call]  # torch leaves it without types

    def __exit__(self, *said: object) -> None:
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        Simulation.active = None
        super().__exit__(*said)  # type: ignore[no-untyped-call]  # torch leaves it without types

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Run an operation, on the device if one of its tensors is there or if it is told to."""
        return _run(func, args, kwargs or {})


@functools.cache
def why_not() -> str:
    """Why there is no simulated device in this process; empty where there is, and it is registered then."""
    setup = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    lift = hasattr(torch._C, "_only_lift_cpu_tensors") and hasattr(torch._C, "_set_only_lift_cpu_tensors")
    if setup is None or not lift:
        return f"torch {torch.__version__} has no backend for Python, on which the simulated device stands"
    taken = torch._C._get_privateuse1_backend_name()
    if taken != "privateuseone":
        return f"the device name that the simulation needs is taken by {taken!r}"
    try:
        setup(NAME)
    except Exception as error:  # noqa: BLE001  # private code may refuse in any way
        return f"the simulated device cannot be registered: {error}"
    return ""


@contextlib.contextmanager
def simulated() -> Iterator[Simulation]:
    """A while in which there is an accelerator."""
    if reason := why_not():
        raise Unsimulated(reason)
    with Simulation() as active:
        yield active


def device() -> torch.device:
    """The simulated device, inside ``simulated``."""
    return torch.device(NAME, 0)


def values(tensor: Tensor) -> Tensor:
    """What a tensor on the device holds, on the CPU; a tensor that is there already, as it is."""
    return tensor.held if isinstance(tensor, OnDevice) else tensor


def _refused(operation: str, why: str) -> LeftOnCpu:
    said = f"{operation}: {why}"
    if Simulation.active is not None:
        Simulation.active.left.append(said)
    return LeftOnCpu(said)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if func is _aten._fused_sdp_choice.default:
        return 0  # no fused kernel: plain operations, every one of which is looked at
    tensors = list(tensors_in(args, kwargs))
    there = [each for each in tensors if isinstance(each, OnDevice)]
    asked = kwargs.get("device")
    wanted = bool(there) if asked is None else torch.device(asked).type == NAME
    if func is _aten.copy_.default:
        func(_inner(args[0]), _inner(args[1]), *args[2:])
        return args[0]
    if func is _aten._local_scalar_dense.default:
        return func(_inner(args[0]))
    if there and func not in _COPIES:
        _refuse_cpu_tensors(func, args, tensors)
    if wanted and isinstance(kwargs.get("generator"), torch.Generator):
        raise _refused(_name(func), "the random generator is on the CPU")
    if wanted and asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*mapped(_inner, args), **mapped(_inner, kwargs))
    if not wanted:
        return result
    same = {id(each.held): each for each in there}
    return mapped(lambda value: _wrapped(value, same), result)


def _refuse_cpu_tensors(func: Any, args: Any, tensors: list[Tensor]) -> None:
    left = [each for each in tensors if not isinstance(each, OnDevice)]
    if not left:
        return
    name = _name(func)
    if func in _INDEXED and isinstance(args[0], OnDevice):
        indices = [each for each in args[1] if each is not None]
        left = [each for each in left if not any(each is index for index in indices)]
        left = [each for each in left if each.numel() != 1]  # x[i] = one number
    elif name in _ELEMENTWISE:
        changed = args[0] if name.endswith("_") else None
        left = [each for each in left if each.dim() or each is changed]
    if left:
        shape = ", ".join(map(str, left[0].shape)) or "no axes"
        raise _refused(
            name, f"meets a tensor on the CPU ({str(left[0].dtype).removeprefix('torch.')} of shape [{shape}])"
        )


def _name(func: Any) -> str:
    return str(func).removeprefix("aten.").partition(".")[0]


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _wrapped(value: Any, same: dict[int, OnDevice]) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.is_nested or value.layout is not torch.strided:
        raise Unsimulated("tensors that are nested or sparse are not simulated")
    known = same.get(id(value))
    if known is None:
        return OnDevice(value)
    if known.shape != value.shape or known.stride() != value.stride():
        raise Unsimulated("an operation that changes a tensor's shape in place is not simulated")
    return known
