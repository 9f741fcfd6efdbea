"""Whole layers: scaled dot-product attention, embedding, and torch's modules."""

from ..language.axis import UNKNOWN, Axis, Verdict, same
from ..language.broadcasting import Misfit, broadcast, matmul
from ..language.dtypes import BOOL, FLOAT, name_of
from ..language.values import UNKNOWN_VALUE, Tensor, Value
from .structure import swapped
from .table import Call, rule


@rule("scaled_dot_product_attention", "query key value attn_mask dropout_p is_causal scale")
def scaled_dot_product_attention(call: Call) -> Value:
    """``softmax(Q Kᵀ) V``: the key's last two axes are exchanged first."""
    query, key, value = (call.shaped(name) for name in ("query", "key", "value"))
    if call.has("enable_gqa"):
        # Heads of key and value divide those of the query: broadcasting does not hold.
        return Tensor((*query.dims[:-1], value.dims[-1]), query.dtypes)
    what = "scaled_dot_product_attention"
    scores = matmul(query.dims, swapped(key.dims, -1, -2, what), what)
    mask = call.value("attn_mask")
    if isinstance(mask, Tensor):
        scores = broadcast(scores, mask.dims, f"{what}, attn_mask")
        if not mask.dtypes & (BOOL | FLOAT):
            raise Misfit(f"{what}: attn_mask is {name_of(mask.dtypes)}; expected Bool or Float")
    return Tensor(matmul(scores, value.dims, what), query.dtypes)


@rule("embedding", "x weight")
def embedding(call: Call) -> Value:
    """An axis for the features behind the indices, as wide as the weight."""
    x, weight = call.tensor(), call.value("weight")
    wide: Axis = UNKNOWN
    if isinstance(weight, Tensor) and weight.axes is not None and len(weight.axes) == 2:
        wide = weight.axes[1]
    dtypes = weight.dtypes if isinstance(weight, Tensor) else FLOAT
    return Tensor((*x.dims, wide), dtypes)


@rule("cross_entropy nll_loss mse_loss l1_loss kl_div binary_cross_entropy", "x target *others")
def loss(call: Call) -> Value:
    """One number, unless ``reduction=`` says otherwise."""
    x = call.tensor()
    if call.name in ("cross_entropy", "nll_loss") and not x.dtypes & FLOAT:
        raise Misfit(f'{call.name}: the scores "{x}" are {name_of(x.dtypes)}; expected Float')
    return UNKNOWN_VALUE if call.has("reduction") else Tensor((), FLOAT)


MODULES_THAT_KEEP = frozenset(
    {"LayerNorm", "RMSNorm", "Dropout", "AlphaDropout", "ReLU", "ReLU6", "GELU", "SiLU"}
    | {"Mish", "ELU", "SELU", "LeakyReLU", "Sigmoid", "Tanh", "Softmax", "LogSoftmax"}
    | {"Softplus", "Hardtanh", "Hardswish", "Identity", "BatchNorm1d", "BatchNorm2d"}
    | {"GroupNorm", "InstanceNorm1d", "TransformerEncoderLayer", "TransformerDecoderLayer"}
    | {"TransformerEncoder", "TransformerDecoder", "Dropout1d", "Dropout2d"}
)


def module(name: str, positional: list[Value], sizes: dict[str, Axis]) -> Value:
    """What calling one of torch's own modules gives.

    Args:
        sizes: what its making said, by torch's names (``in_features``), if that was seen.
    """
    x = positional[0] if positional else UNKNOWN_VALUE
    if not isinstance(x, Tensor):
        return UNKNOWN_VALUE
    if name in MODULES_THAT_KEEP:
        return x
    if name == "Linear" and x.dims and isinstance(x.dims[-1], Axis):
        wanted = sizes.get("in_features", UNKNOWN)
        if same(x.dims[-1], wanted) is Verdict.NO:
            raise Misfit(f'Linear: the last axis of "{x}" is "{x.dims[-1]}"; expected "{wanted}"')
        return Tensor((*x.dims[:-1], sizes.get("out_features", UNKNOWN)), x.dtypes)
    if name == "Embedding":
        if not x.dtypes - FLOAT:
            raise Misfit(f'Embedding: the indices "{x}" are {name_of(x.dtypes)}; expected Int')
        return Tensor((*x.dims, sizes.get("embedding_dim", UNKNOWN)), FLOAT)
    return UNKNOWN_VALUE
