"""The configuration vocabulary, and the table of claims.

A *claim* is an option that an adapter declares. It selects clauses and is itself verified: the suite infers nothing from
a class's name. ``Config`` is what ``build(config)`` receives: the sizes of one case, and the value of every claim.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veriformer_spec.role import ALL, ATTENDING, NORMS, STACKS, Role

MASK_KINDS = ("none", "causal", "padding", "arbitrary")
NOTHING_VISIBLE = ("unspecified", "zeros", "nan", "error")
CODE_PATHS = ("grad", "no-grad")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One option an adapter may declare.

    Attributes:
        name: keyword of ``veriformer.subject``.
        values: the values it may take; an empty tuple means that ``rule`` says.
        default: what holds when nothing is declared.
        roles: where it means anything.
        meaning: one sentence.
        rule: what else is accepted, in words, where ``values`` cannot list it.
    """

    name: str
    values: tuple[object, ...]
    default: object
    roles: tuple[Role, ...]
    meaning: str
    rule: str = ""


_TABLE = (
    Claim(name="norm", values=("post", "pre"), default="post", roles=STACKS,
          meaning="where a layer normalises: after adding the skip (post), or before the sublayer (pre)"),
    Claim(name="normalization", values=("layer", "rms"), default="layer", roles=STACKS,
          meaning="which normalisation the layers use"),
    Claim(name="activation", values=("relu", "gelu", "gelu-tanh", "silu", "reglu", "geglu", "swiglu"), default="relu",
          roles=(Role.FEED_FORWARD, *STACKS),
          meaning="the feed-forward network's nonlinearity; the names ending in -glu multiply by a second projection"),
    Claim(name="scale", values=("inverse-root", "none", "folded", "unspecified"), default="inverse-root", roles=ATTENDING,
          meaning="what multiplies the scores: 1/sqrt(d_head), nothing, a factor already inside the weights, or a number",
          rule="or a positive number"),
    Claim(name="gain", values=("weight", "one-plus-weight"), default="weight", roles=(*NORMS, *STACKS),
          meaning="what the normalised value is multiplied by: the parameter w, or 1 + w"),
    Claim(name="eps", values=(), default=1e-5, roles=(*NORMS, *STACKS), rule="a number, 0 or larger",
          meaning="what is added to the variance (mean square) inside the root"),
    Claim(name="bias", values=(True, False), default=True, roles=(Role.MULTI_HEAD_ATTENTION, Role.FEED_FORWARD, *STACKS),
          meaning="whether the projections have biases"),
    Claim(name="norm_bias", values=(True, False), default=True, roles=(Role.LAYER_NORM, *STACKS),
          meaning="whether layer normalisation adds a shift"),
    Claim(name="masks", values=(), default=MASK_KINDS, roles=ATTENDING,
          rule="a tuple out of none, causal, padding, arbitrary; arbitrary includes the others",
          meaning="which attention masks the call accepts"),
    Claim(name="nothing_visible", values=NOTHING_VISIBLE, default="unspecified", roles=ATTENDING,
          rule="or one of them for each code path: {'grad': ..., 'no-grad': ...}",
          meaning="what the heads return for a query with nothing visible, before any projection; unspecified allows any value in that row only"),
    Claim(name="padded_rows", values=("computed", "unspecified"), default="computed", roles=(Role.MULTI_HEAD_ATTENTION, *STACKS),
          meaning="what comes back at a position hidden from every query: computed like any other, or any value (unpadding code)"),
    Claim(name="causal", values=(False, True), default=False, roles=ATTENDING,
          meaning="whether the subject hides the future by itself, mask or no mask"),
    Claim(name="memory", values=("separate", "query"), default="separate", roles=(Role.MULTI_HEAD_ATTENTION,),
          meaning="whether keys and values may come from a second input, or always come from the query input"),
    Claim(name="kv_heads", values=("equal", "grouped"), default="equal", roles=ATTENDING,
          meaning="whether there may be fewer key/value heads than query heads"),
    Claim(name="value_size", values=("any", "key-size"), default="any", roles=(Role.ATTENTION,),
          meaning="whether a value may be longer or shorter than a key"),
    Claim(name="computes_in", values=("input", "float32"), default="input", roles=ALL,
          meaning="whether anything inside is computed in float32 whatever the input's dtype"),
    Claim(name="dropout", values=("unspecified", "none", "on"), default="unspecified", roles=STACKS,
          meaning="whether training drops values at the rate config.dropout: never, always, or not said"),
    Claim(name="positions", values=("none", "sinusoidal", "learned"), default="none", roles=(Role.ENCODER,),
          meaning="what the encoder adds to its input to tell positions apart"),
    Claim(name="encoding", values=("sinusoidal", "learned"), default="sinusoidal", roles=(Role.POSITIONAL_ENCODING,),
          meaning="which table of positions is added"),
    Claim(name="final_norm", values=("as-placed", True, False), default="as-placed", roles=(Role.ENCODER,),
          meaning="whether the stack ends in a norm of its own; as-placed means: after pre-norm layers, not after post-norm"),
    Claim(name="layer_parameters", values=("own", "shared"), default="own", roles=(Role.ENCODER,),
          meaning="whether each layer has parameters of its own, or all share one set"),
)  # fmt: skip

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in _TABLE}
"""Every claim by its name, in the order in which a reader meets them."""


class ClaimError(ValueError):
    """A claim, or a value of one, that does not exist."""


def validated(role: Role, claims: Mapping[str, object]) -> dict[str, Any]:
    """Every claim of ``role`` with its declared or default value.

    Raises:
        ClaimError: an unknown claim, one that means nothing for ``role``, or a value that is not one of its values.
    """
    known = {name: claim for name, claim in CLAIMS.items() if role in claim.roles}
    for name, value in claims.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(known)}"
            where = f"means nothing for a {role}" if name in CLAIMS else "does not exist"
            raise ClaimError(f"claim {name}={value!r} {where}: {hint}")
        _check_value(known[name], value)
    return {name: _normal(name, claims.get(name, claim.default)) for name, claim in known.items()}


def _normal(name: str, value: object) -> object:
    """One spelling for values that may be written in two ways."""
    if name == "masks":
        kinds = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type,unused-ignore]  # checked before
        return MASK_KINDS if "arbitrary" in kinds else tuple(kind for kind in MASK_KINDS if kind in {"none", *kinds})
    if name == "nothing_visible" and isinstance(value, str):
        return dict.fromkeys(CODE_PATHS, value)
    return value


def _check_value(claim: Claim, value: object) -> None:
    if claim.name == "masks":
        kinds = (value,) if isinstance(value, str) else value
        accepted = isinstance(kinds, list | tuple) and all(kind in MASK_KINDS for kind in kinds)
    elif claim.name == "nothing_visible" and isinstance(value, Mapping):
        accepted = set(value) == set(CODE_PATHS) and all(each in NOTHING_VISIBLE for each in value.values())
    elif claim.name == "eps":
        accepted = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    elif claim.name == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
        accepted = value > 0
    else:
        accepted = any(value == each and type(value) is type(each) for each in claim.values)
    if not accepted:
        listed = ", ".join(map(repr, claim.values))
        rule = " ".join(filter(None, (listed, claim.rule)))
        raise ClaimError(f"claim {claim.name}={value!r} must be {rule}: {claim.meaning}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What ``build(config)`` receives: the sizes of one case, and every claim's value.

    Attributes:
        d_model: features of a token; a multiple of ``heads``.
        heads: query heads.
        kv_heads: key and value heads; equal to ``heads`` unless the claim ``kv_heads`` says grouped.
        d_head: features of a query and of a key in one head: ``d_model // heads``.
        d_value: features of a value in one head.
        d_ff: features inside the feed-forward network.
        layers: layers of a stack.
        max_len: the longest sequence that will be passed, in positions.
        dropout: probability with which training drops a value; 0 means that training equals evaluation.

    The other fields are the claims of the same name (see ``CLAIMS``).
    """

    d_model: int = 24
    heads: int = 4
    kv_heads: int = 4
    d_head: int = 6
    d_value: int = 6
    d_ff: int = 40
    layers: int = 2
    max_len: int = 64
    dropout: float = 0.0

    norm: str = "post"
    normalization: str = "layer"
    activation: str = "relu"
    scale: str | float = "inverse-root"
    gain: str = "weight"
    eps: float = 1e-5
    bias: bool = True
    norm_bias: bool = True
    causal: bool = False
    memory: str = "separate"
    positions: str = "none"
    encoding: str = "sinusoidal"
    final_norm: bool | str = "as-placed"
    layer_parameters: str = "own"
    computes_in: str = "input"

    if not TYPE_CHECKING:  # mypy knows the fields; a person who mistypes one gets the list

        def __getattr__(self, name: str) -> Any:
            """Names the nearest field: most first adapters ask for a word of their own."""
            if name.startswith("__"):
                raise AttributeError(name)
            nearest = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.4)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise AttributeError(f"config has no {name}; {hint}it has {', '.join(FIELDS)}")

    @property
    def ends_in_norm(self) -> bool:
        """Whether a stack normalises its output, as the claim ``final_norm`` says."""
        return self.norm == "pre" if self.final_norm == "as-placed" else bool(self.final_norm)


FIELDS = tuple(each.name for each in dataclasses.fields(Config))
