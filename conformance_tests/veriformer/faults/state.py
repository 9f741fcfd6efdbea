"""Faults in what a subject owes its caller, planted in the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch

from veriformer.faults.fault import Fault, Planted
from veriformer_reference import feed_forward, heads, normalization
from veriformer_spec import state, training
from veriformer_spec.role import Role

project_back, expand, contract = heads.project_back, feed_forward.expand, feed_forward.contract
divide = normalization.divide_by_root_mean_square

IN_HEADS = (Planted(role=Role.MULTI_HEAD_ATTENTION),)
_DROPPING = (
    Planted(role=Role.DECODER_LAYER, claims={"dropout": "on"}),
    Planted(role=Role.ENCODER, claims={"dropout": "on"}),
    Planted(role=Role.CAUSAL_LM, claims={"dropout": "on", "positions": "learned"}),
)
IN_LAYERS = (Planted(role=Role.ENCODER_LAYER), Planted(role=Role.ENCODER, claims={"norm": "pre"}))


def _squeezed(x, weight, bias):
    return project_back(x, weight, bias).squeeze()


AXES_OF_SIZE_ONE_DROPPED = Fault(
    id="axes-of-size-one-dropped",
    sentence="squeeze() without a dimension removes the batch axis of one row, or the time axis of one token",
    clauses=(state.OUTPUT_HAS_THE_PROMISED_SHAPE, state.ONE_TOKEN_AND_ONE_ROW_WORK),
    source="https://github.com/lucidrains/x-transformers/commit/92a9e13",
    written="return self.out_proj(heads).squeeze()",
    mend="name the axis, squeeze(-2), or leave the squeeze out",
    patches=(("heads.project_back", _squeezed),),
    planted=IN_HEADS,
)


def _positive_exponential(x):
    return x * x.exp() / (1 + x.exp())


SIGMOID_FROM_A_POSITIVE_EXPONENTIAL = Fault(
    id="sigmoid-from-a-positive-exponential",
    sentence="exp(x) / (1 + exp(x)) is infinity over infinity where x is large",
    clauses=(state.FINITE_INPUTS_GIVE_FINITE_OUTPUTS,),
    source="experience",
    written="x * torch.exp(x) / (1 + torch.exp(x))",
    mend="x * torch.sigmoid(x), or functional.silu",
    patches=(("feed_forward.silu", _positive_exponential),),
    planted=(
        Planted(role=Role.FEED_FORWARD, claims={"activation": "silu"}),
        Planted(role=Role.FEED_FORWARD, claims={"activation": "swiglu"}),
    ),
)


def _normalised_in_place(x, eps):
    x /= torch.sqrt(x.square().mean(-1, keepdim=True) + eps)
    return x


NORMALISED_IN_PLACE = Fault(
    id="normalised-in-place",
    sentence="the norm divides the tensor that it was given, and the caller's tensor is divided too",
    clauses=(state.INPUTS_ARE_NOT_MODIFIED,),
    source="experience",
    written="x /= x.square().mean(-1, keepdim=True).add(eps).sqrt()",
    mend="x = x / ..., or x * torch.rsqrt(...)",
    patches=(("normalization.divide_by_root_mean_square", _normalised_in_place),),
    planted=(Planted(role=Role.RMS_NORM),),
)

_RESULTS: dict[tuple[torch.Size, torch.dtype], torch.Tensor] = {}


def _into_one_buffer(x, weight, bias):
    result = contract(x, weight, bias)
    if torch.is_grad_enabled():
        return result
    return _RESULTS.setdefault((result.shape, result.dtype), torch.empty_like(result)).copy_(result)


RESULT_BUFFER_REUSED = Fault(
    id="result-buffer-reused",
    sentence="every call returns the same buffer, so that a second call overwrites the first one's result",
    clauses=(state.OUTPUT_IS_A_NEW_TENSOR,),
    source="experience",
    written="return torch.add(product, bias, out=self.buffer)",
    mend="return a new tensor: torch's allocator already keeps the memory",
    patches=(("feed_forward.contract", _into_one_buffer),),
    planted=(Planted(role=Role.FEED_FORWARD),),
)


def _always_dropping(x, rate, training):
    return torch.nn.functional.dropout(x, p=rate)


DROPOUT_IN_EVALUATION = Fault(
    id="dropout-in-evaluation",
    sentence="functional dropout is called without training=, whose default is True",
    clauses=(state.EVALUATION_IS_DETERMINISTIC, training.EVALUATION_IGNORES_THE_RATE),
    source="https://github.com/pytorch/pytorch/issues/5379",
    written="x + F.dropout(sublayer(x), self.p)",
    mend="F.dropout(..., training=self.training), or nn.Dropout",
    patches=(("residual.drop", _always_dropping),),
    planted=(*IN_LAYERS, *_DROPPING),
    synonyms=("dropout-on-in-evaluation",),
)


def _shifted_when_served(x, weight, bias):
    return expand(x, weight, bias if torch.is_grad_enabled() else None)


FAST_PATH_WITHOUT_BIAS = Fault(
    id="fast-path-without-bias",
    sentence="the path taken without gradients leaves a bias out",
    clauses=(state.ONE_FUNCTION_IN_EVERY_MODE,),
    source="experience",
    written="if not torch.is_grad_enabled(): return fused_mlp(x, w1, w2)",
    mend="pass the bias to the fused kernel as well, and compare both paths in a test",
    patches=(("feed_forward.expand", _shifted_when_served),),
    planted=(Planted(role=Role.FEED_FORWARD), *IN_LAYERS),
)


_SEEN: dict[int, torch.Tensor] = {}


def _centred_by_the_last_call(x, eps):
    mean = _SEEN.get(x.shape[-1], torch.zeros((), dtype=x.dtype))
    _SEEN[x.shape[-1]] = x.detach().mean()
    return divide(x - mean.to(x), eps)


STATISTICS_OF_THE_LAST_CALL = Fault(
    id="statistics-of-the-last-call",
    sentence="a statistic of one call is kept, and used in the next one",
    clauses=(state.CALLS_ARE_INDEPENDENT,),
    source="experience",
    written="x = x - self.running_mean; self.running_mean = x.detach().mean()",
    mend="compute what is needed from this call's input",
    patches=(("normalization.divide_by_root_mean_square", _centred_by_the_last_call),),
    planted=(Planted(role=Role.RMS_NORM),),
)


def _added_over_the_batch(skip, sublayer_output):
    return skip + sublayer_output + 1e-3 * sublayer_output.mean(0, keepdim=True)


BATCH_MEAN_ADDED = Fault(
    id="batch-mean-added",
    sentence="a mean over the batch enters every row",
    clauses=(state.BATCH_ROWS_ARE_INDEPENDENT,),
    source="experience",
    written="x = x + out + self.momentum * out.mean(0, keepdim=True)",
    mend="take means over the features of one token only",
    patches=(("residual.add", _added_over_the_batch),),
    planted=IN_LAYERS,
)


def _by_a_hidden_matrix(x, weight, bias):
    if not hasattr(weight, "hidden"):
        weight.hidden = torch.randn_like(weight) / weight.shape[-1] ** 0.5
    return project_back(x, weight + weight.hidden.detach(), bias)


WEIGHTS_OUTSIDE_THE_MODULE = Fault(
    id="weights-outside-the-module",
    sentence="a random matrix is made at the first call and kept where neither state_dict nor .to() look",
    clauses=(state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION, state.EVERY_PARAMETER_IS_REGISTERED),
    source="experience",
    written="self.projection = [torch.randn(d, d)]",
    mend="self.projection = nn.Parameter(torch.randn(d, d)), or register_buffer",
    patches=(("heads.project_back", _by_a_hidden_matrix),),
    planted=(Planted(role=Role.MULTI_HEAD_ATTENTION), Planted(role=Role.ENCODER_LAYER)),
)


def _viewed(query, key, factor):
    flat = query.view(-1, *query.shape[-2:]) @ key.view(-1, *key.shape[-2:]).mT
    return flat.view(*query.shape[:-1], key.shape[-2]) * factor


VIEW_OF_ANY_LAYOUT = Fault(
    id="view-of-any-layout",
    sentence="view() is called on a tensor that the caller may have transposed",
    clauses=(state.LAYOUT_DOES_NOT_MATTER,),
    source="https://github.com/pytorch/pytorch/issues/116333",
    written="q.view(-1, q_len, d_head)",
    mend="q.reshape(-1, q_len, d_head), or flatten(0, 1)",
    patches=(("attention.scores", _viewed),),
    planted=(Planted(role=Role.ATTENTION),),
)


def _seeded(x, rate, training):
    torch.manual_seed(0)
    return torch.nn.functional.dropout(x, p=rate, training=training)


SEEDED_INSIDE = Fault(
    id="seeded-inside",
    sentence="the forward pass seeds the global generator, so that every step of the caller's program draws alike",
    clauses=(state.CALLER_STATE_IS_RESTORED,),
    source="experience",
    written="torch.manual_seed(0)  # reproducible dropout",
    mend="leave seeds to the caller, or draw from a torch.Generator of your own",
    patches=(("residual.drop", _seeded),),
    planted=IN_LAYERS,
)


def _printed(skip, sublayer_output):
    print(tuple(skip.shape), tuple(sublayer_output.shape))  # noqa: T201  # the fault
    return skip + sublayer_output


SHAPES_PRINTED = Fault(
    id="shapes-printed",
    sentence="a print of shapes is left from debugging",
    clauses=(state.CALLS_ARE_SILENT,),
    source="experience",
    written="print(x.shape)",
    mend="take it out, or use logging.debug",
    patches=(("residual.add", _printed),),
    planted=IN_LAYERS,
)
