"""Device: everything a module needs goes where the module goes."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import ALL

EVERYTHING_FOLLOWS_THE_MODULE = Clause(
    id="device.everything-follows-the-module-to-its-device",
    text="on a device other than the CPU, with module and inputs there, no operation meets a tensor left on the CPU",
    source="PyTorch documentation, torch.nn.Module.to and .register_buffer",
    breaks="a mask, a table or positions made without device=, or kept in a plain attribute",
    roles=ALL,
)
CUDA_EQUALS_CPU_WITHIN_ROUNDING = Clause(
    id="device.cuda-equals-cpu-within-rounding",
    text="on CUDA the output equals the CPU's within rounding, in float64 and in float32 without TF32",
    source="PyTorch documentation, Numerical accuracy; the rule stands in veriformer_spec.numerics",
    breaks="a kernel that ignores the mask, the scale or the strides",
    roles=ALL,
)
