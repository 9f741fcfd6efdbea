"""State: what any subject owes its caller, whatever it computes."""

from veriformer_spec.clause import Clause, Level
from veriformer_spec.role import ALL, MODELS, PARAMETRIC, Role

_MODULE = "PyTorch documentation, torch.nn.Module"
_FUNCTION = "Veriformer: a function of its arguments; PyTorch documentation, Reproducibility"

OUTPUT_HAS_THE_PROMISED_SHAPE = Clause(
    id="state.output-has-the-promised-shape",
    text="the call returns one tensor, of the shape that its role promises",
    source="Vaswani et al. 2017, section 3.1: all sub-layers produce outputs of dimension d_model",
    breaks="a tuple of output and weights is returned, an axis is squeezed, or time and batch come back swapped",
    roles=ALL,
)
FINITE_INPUTS_GIVE_FINITE_OUTPUTS = Clause(
    id="state.finite-inputs-give-finite-outputs",
    text="with finite inputs and weights, and something visible to every query, every number that comes back is finite",
    source="IEEE 754-2019, section 6.2; Goodfellow et al. 2016, Deep Learning, section 4.1",
    breaks="a softmax without subtracting the maximum overflows; a variance that is slightly negative has no root",
    roles=ALL,
)
INPUTS_ARE_NOT_MODIFIED = Clause(
    id="state.inputs-are-not-modified",
    text="after forward, and after backward, every tensor that the caller passed holds the bits it held before",
    source=_FUNCTION,
    breaks="x += sublayer(x), mask.masked_fill_(...), or scores scaled in place while they still share memory with an input",
    roles=ALL,
)
OUTPUT_IS_A_NEW_TENSOR = Clause(
    id="state.output-is-a-new-tensor",
    level=Level.SHOULD,
    text="writing into the output changes neither an input, nor a parameter, nor the result of another call",
    source=_FUNCTION,
    breaks="a buffer kept for speed is returned each time, or a view of the input where nothing was to be done",
    roles=ALL,
)
EVALUATION_IS_DETERMINISTIC = Clause(
    id="state.evaluation-is-deterministic",
    text="in evaluation mode two calls with equal inputs return equal outputs, whatever the dropout rate",
    source="Srivastava et al. 2014, section 10; PyTorch documentation, torch.nn.Dropout: identity during evaluation",
    breaks="functional dropout is called without training=self.training; noise is added in every mode",
    roles=ALL,
)
ONE_FUNCTION_IN_EVERY_MODE = Clause(
    id="state.one-function-in-every-mode",
    text="training with dropout at 0, evaluation, and evaluation without gradients compute the same function",
    source="PyTorch documentation, torch.nn.Module.eval and torch.no_grad: only dropout and batch statistics may differ",
    breaks="the mask is applied in training only; a fast path without gradients forgets the mask or the activation",
    roles=ALL,
)
CALLS_ARE_INDEPENDENT = Clause(
    id="state.calls-are-independent",
    text="what a call returns depends on its arguments alone, not on the calls made before it",
    source=_FUNCTION,
    breaks="a mask or a table cached for another length, a default argument that grows, a running statistic",
    roles=ALL,
)
A_CALL_USES_THE_WEIGHTS_AS_THEY_ARE = Clause(
    id="state.a-call-uses-the-weights-as-they-are",
    text="after the parameters have changed in place in training mode, a call in evaluation computes with what they hold now",
    source="PyTorch documentation, torch.optim: step() changes parameters in place; Veriformer: parameters are the whole function",
    breaks="a fused or transposed copy of the weights made at the first call and never made again",
    roles=PARAMETRIC,
)
BATCH_ROWS_ARE_INDEPENDENT = Clause(
    id="state.batch-rows-are-independent",
    text="a row of the batch comes back the same whatever the other rows hold, in evaluation and in training with dropout at 0",
    source="Vaswani et al. 2017, section 3.2: attention is within one sequence; Ba et al. 2016, section 3: no batch statistics",
    breaks="BatchNorm in LayerNorm's place, a sequence-first module fed batch-first, a mask taken from the first row, softmax over dim 0",
    roles=ALL,
)
STATE_DICT_HOLDS_THE_WHOLE_FUNCTION = Clause(
    id="state.state-dict-holds-the-whole-function",
    text="a second instance that loads the state_dict computes the same function",
    source=f"{_MODULE}.state_dict",
    breaks="layers kept in a plain list, weights in a plain attribute, an output layer initialised again at the first call",
    roles=PARAMETRIC,
)
EVERY_PARAMETER_IS_REGISTERED = Clause(
    id="state.every-parameter-is-registered",
    text="every floating-point tensor that the output depends on follows the module through .to(dtype) and copy.deepcopy",
    source=f"{_MODULE}.to and .register_parameter",
    breaks="layers kept in a plain Python list, a table in a plain attribute: .to() and parameters() do not see them",
    roles=PARAMETRIC,
)
LAYOUT_DOES_NOT_MATTER = Clause(
    id="state.layout-does-not-matter",
    text="inputs of equal values give equal outputs, whether contiguous, transposed, sliced or expanded",
    source="PyTorch documentation, Tensor Views: strides are storage, not value",
    breaks="view on a tensor that need not be contiguous; a kernel that ignores strides",
    roles=ALL,
)
ONE_TOKEN_AND_ONE_ROW_WORK = Clause(
    id="state.one-token-and-one-row-work",
    text="a batch of one row and a sequence of one token give outputs of the promised shape, equal to the same row within a batch",
    source=_FUNCTION,
    breaks="squeeze() without a dimension removes the axis whose size happens to be one",
    roles=ALL,
)
A_BAD_SHAPE_RAISES = Clause(
    id="state.a-bad-shape-raises",
    level=Level.SHOULD,
    text="an input whose number of features is not the configured one raises an exception",
    source=_FUNCTION,
    breaks="features are reshaped, broadcast or cut until they fit",
    # an id has no features, and ids of any shape are looked up by correct code; embedding.an-id-out-of-range-raises is theirs
    roles=tuple(role for role in PARAMETRIC if role not in {Role.TOKEN_EMBEDDING, *MODELS}),
)
CALLER_STATE_IS_RESTORED = Clause(
    id="state.caller-state-is-restored",
    text="a call leaves the default dtype and device, the gradient mode, the number of threads, the module's own modes, and in "
    "evaluation the random state, as it found them",
    source=_FUNCTION,
    breaks="torch.manual_seed inside forward, set_default_dtype for a table, self.eval() or requires_grad_(False) in forward",
    roles=ALL,
)
CALLS_ARE_SILENT = Clause(
    id="state.calls-are-silent",
    level=Level.SHOULD,
    text="a call prints nothing",
    source="Veriformer: a forward pass runs millions of times",
    breaks="a print of shapes left from debugging",
    roles=ALL,
)
