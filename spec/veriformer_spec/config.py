"""The configuration vocabulary, and the table of claims.

A *claim* is an option that an adapter declares. It selects clauses and is itself verified: the suite infers nothing from
a class's name. ``Config`` is what ``build(config)`` receives: the sizes of one case, and the value of every claim.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from veriformer_spec.role import ALL, ATTENDING, DECODERS, LAYERED, MODELS, NORMS, PROJECTED, STACKS, Role

MASK_KINDS = ("none", "causal", "padding", "arbitrary")
NOTHING_VISIBLE = ("unspecified", "zeros", "nan", "error")
CODE_PATHS = ("grad", "no-grad")
PADDING_SIDES = ("right", "left", "interior")
STRATEGIES = ("greedy", "beam", "sample")

_LAYERS = (*STACKS, *DECODERS, *MODELS)
_SCALED = (Role.ATTENTION, Role.SELF_ATTENTION, *PROJECTED)


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
        defaults: other defaults, by role.
    """

    name: str
    values: tuple[object, ...]
    default: object
    roles: tuple[Role, ...]
    meaning: str
    rule: str = ""
    defaults: Mapping[Role, object] = dataclasses.field(default_factory=dict)

    def default_for(self, role: Role) -> object:
        """What holds for ``role`` when nothing is declared."""
        return self.defaults.get(role, self.default)


_HEAD_POSITIONS = ("none", "rotary", "alibi", "relative")
"""Positions that live inside attention, and so may be claimed of a role that is a part of a stack."""

_TABLE = (
    Claim(name="norm", values=("post", "pre"), default="post", roles=_LAYERS,
          meaning="where a layer normalises: after adding the skip (post), or before the sublayer (pre)"),
    Claim(name="normalization", values=("layer", "rms"), default="layer", roles=_LAYERS,
          meaning="which normalisation the layers use"),
    Claim(name="activation", values=("relu", "gelu", "gelu-tanh", "silu", "reglu", "geglu", "geglu-tanh", "swiglu"),
          default="relu",
          roles=(Role.FEED_FORWARD, *_LAYERS),
          meaning="the feed-forward network's nonlinearity; the names with glu multiply by a second projection"),
    Claim(name="scale", values=("inverse-root", "none", "folded", "unspecified"), default="inverse-root",
          defaults={Role.SELF_ATTENTION: "none"}, roles=_SCALED,
          meaning="what multiplies the scores: 1/sqrt(d_head), nothing, a factor already inside the weights, or a number",
          rule="or a positive number"),
    Claim(name="gain", values=("weight", "one-plus-weight"), default="weight", roles=(*NORMS, *_LAYERS),
          meaning="what the normalised value is multiplied by: the parameter w, or 1 + w"),
    Claim(name="eps", values=(), default=1e-5, roles=(*NORMS, *_LAYERS), rule="a number, 0 or larger",
          meaning="what is added to the variance (mean square) inside the root"),
    Claim(name="bias", values=(True, False), default=True, roles=(Role.MULTI_HEAD_ATTENTION, Role.FEED_FORWARD, *_LAYERS),
          meaning="whether the projections have biases"),
    Claim(name="norm_bias", values=(True, False), default=True, roles=(Role.LAYER_NORM, *_LAYERS),
          meaning="whether layer normalisation adds a shift"),
    Claim(name="masks", values=(), default=MASK_KINDS, defaults=dict.fromkeys(MODELS, ("none", "padding")), roles=ATTENDING,
          rule="a tuple out of none, causal, padding, arbitrary; arbitrary includes the others",
          meaning="which attention masks the call accepts; models over ids take padding masks only"),
    Claim(name="padding_sides", values=(), default=("right",), roles=MODELS, rule="a tuple out of right, left, interior",
          meaning="where padding may stand: left and interior padding need positions that count real tokens only"),
    Claim(name="nothing_visible", values=NOTHING_VISIBLE, default="unspecified", roles=ATTENDING,
          rule="or one of them for each code path: {'grad': ..., 'no-grad': ...}",
          meaning="what the heads return for a query with nothing visible, before any projection; unspecified allows any value in that row only"),
    Claim(name="padded_rows", values=("computed", "unspecified"), default="computed", defaults=dict.fromkeys(MODELS, "unspecified"),
          roles=PROJECTED,
          meaning="what comes back at a position hidden from every query: computed like any other, or any value (unpadding code)"),
    Claim(name="causal", values=(False, True), default=False, defaults={Role.CAUSAL_LM: True, Role.ENCODER_DECODER: True},
          roles=tuple(role for role in ATTENDING if role is not Role.ADDITIVE_ATTENTION),
          meaning="whether the subject hides the future by itself, mask or no mask; a decoder: in its self-attention"),
    Claim(name="alignment", values=("end", "start", "equal-lengths"), default="equal-lengths", roles=(Role.ATTENTION,),
          meaning="which key the first query of a causal subject sees last, where there are fewer queries than keys: aligned at the "
          "end, at the start, or never called so"),
    Claim(name="sliding_window", values=(False, True), default=False, roles=(Role.ATTENTION, *PROJECTED),
          meaning="whether a causal subject (causal=True) sees only the last config.window positions, its own among them"),
    Claim(name="soft_cap", values=(None,), default=None, roles=(Role.ATTENTION, *PROJECTED), rule="or a positive number",
          meaning="the bound c of scores bent to c·tanh(score / c) before the mask; None bends nothing"),
    Claim(name="query_key_norm", values=("none", "layer", "rms"), default="none", roles=PROJECTED,
          meaning="which normalisation each head's queries and keys pass before they meet"),
    Claim(name="memory", values=("separate", "query"), default="separate", roles=(Role.MULTI_HEAD_ATTENTION,),
          meaning="whether keys and values may come from a second input, or always come from the query input"),
    Claim(name="kv_heads", values=("equal", "grouped"), default="equal", roles=(Role.ATTENTION, *PROJECTED),
          meaning="whether there may be fewer key/value heads than query heads"),
    Claim(name="value_size", values=("any", "key-size"), default="any", roles=(Role.ATTENTION,),
          meaning="whether a value may be longer or shorter than a key"),
    Claim(name="computes_in", values=("input", "float32"), default="input", roles=ALL,
          meaning="whether anything inside is computed in float32 whatever the input's dtype"),
    Claim(name="dropout", values=("unspecified", "none", "on"), default="unspecified", roles=_LAYERS,
          meaning="whether training drops values at the rate config.dropout: never, always, or not said"),
    Claim(name="positions", values=("none", "sinusoidal", "learned", "rotary", "alibi", "relative"), default="none", roles=PROJECTED,
          meaning="what tells positions apart: a table added to the first layer's input, queries and keys turned (rotary), or a "
          "bias on the scores (alibi, relative); parts of a stack have " + ", ".join(_HEAD_POSITIONS)),
    Claim(name="rotary_pairing", values=("halves", "adjacent"), default="halves", roles=(Role.ROTARY_ENCODING, *PROJECTED),
          meaning="which features turn together: i with i + d_head/2, or 2i with 2i + 1"),
    Claim(name="rotary_base", values=(), default=10000.0, roles=(Role.ROTARY_ENCODING, *PROJECTED), rule="a number larger than 1",
          meaning="the base of the frequencies: pair i turns by base^(-2i/d_head) radians a position"),
    Claim(name="rotary_scaling", values=(), default=1.0, roles=(Role.ROTARY_ENCODING, *PROJECTED), rule="a positive number",
          meaning="what positions are divided by before they turn anything (position interpolation)"),
    Claim(name="bias_kind", values=("alibi", "relative"), default="alibi", roles=(Role.ATTENTION_BIAS,),
          meaning="which bias is returned: minus slope times distance, or learned numbers for buckets of distance"),
    Claim(name="direction", values=("causal", "bidirectional"), default="causal", roles=(Role.ATTENTION_BIAS,),
          meaning="whether buckets tell the future apart (bidirectional), or count the past only; ALiBi takes the distance either way"),
    Claim(name="encoding", values=("sinusoidal", "learned"), default="sinusoidal", roles=(Role.POSITIONAL_ENCODING,),
          meaning="which table of positions is added"),
    Claim(name="entrance", values=("none", "projection"), default="none", roles=(Role.ENCODER,),
          meaning="whether real-valued input of config.d_input features enters by a projection to d_model"),
    Claim(name="embedding_scale", values=("none", "root-d_model"), default="none", roles=(Role.TOKEN_EMBEDDING, *MODELS),
          meaning="what token embeddings are multiplied by before positions are added: nothing, or sqrt(d_model)"),
    Claim(name="padding_row", values=("trained", "frozen"), default="trained", roles=(Role.TOKEN_EMBEDDING,),
          meaning="whether the embedding of the padding id gets a gradient"),
    Claim(name="segments", values=(False, True), default=False, roles=(Role.TOKEN_EMBEDDING, Role.MASKED_LM),
          meaning="whether an embedding of each token's segment is added"),
    Claim(name="embedding_norm", values=(False, True), default=False, roles=MODELS,
          meaning="whether embeddings and positions are normalised before the first layer"),
    Claim(name="tied", values=(False, True), default=False, roles=MODELS,
          meaning="whether the output projection is the token embedding's own tensor; in an encoder-decoder, of all three"),
    Claim(name="head", values=("linear", "transform"), default="linear", roles=MODELS,
          meaning="what stands before the output projection: nothing, or a linear map, the activation and a norm"),
    Claim(name="head_bias", values=(False, True), default=False, roles=MODELS,
          meaning="whether the output projection adds a bias"),
    Claim(name="head_scale", values=("none", "inverse-root-d_model"), default="none", roles=MODELS,
          meaning="what the last layer's output is multiplied by before the head: nothing, or 1/sqrt(d_model)"),
    Claim(name="cache", values=(False, True), default=False, roles=(Role.CAUSAL_LM,),
          meaning="whether the model can go on from what it has already read; steps= says how"),
    Claim(name="final_norm", values=("as-placed", True, False), default="as-placed", roles=LAYERED,
          meaning="whether the stack ends in a norm of its own; as-placed means: after pre-norm layers, not after post-norm"),
    Claim(name="layer_parameters", values=("own", "shared"), default="own", roles=LAYERED,
          meaning="whether each layer has parameters of its own, or all share one set"),
    Claim(name="cell", values=("attention", "gru"), default="attention", roles=(Role.ENCODER_DECODER,),
          meaning="what the layers are made of: attention and feed-forward networks, or gated recurrent units with additive attention"),
    Claim(name="shifts", values=(True, False), default=True, roles=(Role.LOSS,),
          meaning="whether the loss itself sets the logits at a position against the id at the next one, or is given targets already shifted"),
    Claim(name="smoothing", values=("all-classes", "other-classes", "none"), default="all-classes", roles=(Role.LOSS,),
          meaning="over which classes label smoothing spreads its share: all of them, or all but the right one; none: it has none"),
    Claim(name="strategies", values=(), default=("greedy",), roles=(Role.GENERATION,), rule="a tuple out of greedy, beam, sample",
          meaning="how the next token may be chosen"),
)  # fmt: skip

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in _TABLE}
"""Every claim by its name, in the order in which a reader meets them."""


class ClaimError(ValueError):
    """A claim, or a value of one, that does not exist."""


def validated(role: Role, claims: Mapping[str, object]) -> dict[str, Any]:
    """Every claim of ``role`` with its declared or default value.

    Raises:
        ClaimError: an unknown claim, one that means nothing for ``role``, a value that is not one of its values, or one that means
            nothing without another claim.
    """
    known = {name: claim for name, claim in CLAIMS.items() if role in claim.roles}
    for name, value in claims.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else f"it has {', '.join(known)}"
            where = f"means nothing for a {role}" if name in CLAIMS else "does not exist"
            raise ClaimError(f"claim {name}={value!r} {where}: {hint}")
        _check_value(role, known[name], value)
    checked = {name: _normal(name, claims.get(name, claim.default_for(role))) for name, claim in known.items()}
    if checked.get("sliding_window") and not checked["causal"]:
        raise ClaimError(
            "claim sliding_window=True needs causal=True: the window ends at the query's own position, and none is specified that "
            "reaches into the future; claim causal=True where the subject hides the future by itself, or leave sliding_window out"
        )
    return checked


def _normal(name: str, value: object) -> object:
    """One spelling for values that may be written in two ways."""
    if name == "masks":
        kinds = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type,unused-ignore]  # checked before
        return MASK_KINDS if "arbitrary" in kinds else tuple(kind for kind in MASK_KINDS if kind in {"none", *kinds})
    if name in ("padding_sides", "strategies"):
        return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type,unused-ignore]  # checked before
    if name == "nothing_visible" and isinstance(value, str):
        return dict.fromkeys(CODE_PATHS, value)
    return value


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _out_of(value: object, kinds: tuple[str, ...]) -> bool:
    """Whether it is one of ``kinds``, or a list of some."""
    each = (value,) if isinstance(value, str) else value
    return isinstance(each, list | tuple) and len(each) > 0 and all(kind in kinds for kind in each)


_RULES: Mapping[str, Callable[[object], bool]] = {
    "masks": lambda value: _out_of(value, MASK_KINDS),
    "padding_sides": lambda value: _out_of(value, PADDING_SIDES),
    "strategies": lambda value: _out_of(value, STRATEGIES),
    "eps": lambda value: _number(value) and value >= 0,
    "rotary_base": lambda value: _number(value) and value > 1,
    "rotary_scaling": lambda value: _number(value) and value > 0,
    "scale": lambda value: _number(value) and value > 0,
    "soft_cap": lambda value: _number(value) and value > 0,
    "nothing_visible": lambda value: (
        isinstance(value, Mapping)
        and set(value) == set(CODE_PATHS)
        and all(each in NOTHING_VISIBLE for each in value.values())
    ),
}
"""What a claim accepts besides its listed values."""


def _check_value(role: Role, claim: Claim, value: object) -> None:
    accepted = any(value == each and type(value) is type(each) for each in claim.values)
    if claim.name in _RULES:
        accepted = accepted or _RULES[claim.name](value)
    if claim.name == "positions" and role not in LAYERED and value not in _HEAD_POSITIONS:
        accepted = False
    if claim.name == "causal" and role in claim.defaults:
        accepted = value is claim.default_for(role)
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
        d_input: features of a real-valued input, before its projection to ``d_model``.
        vocab: words of the vocabulary, ids 0 to ``vocab - 1``.
        pad_id: the id of padding.
        segment_count: segments that a token may belong to.
        window: positions that a query sees where a sliding window is claimed, its own among them.
        buckets: buckets of relative distance.
        max_distance: the distance from which on all distances share the last bucket.
        label_smoothing: the share of the target that label smoothing spreads over the classes.
        warmup: steps over which the learning rate rises.
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
    d_input: int = 7
    vocab: int = 11
    pad_id: int = 0
    segment_count: int = 2
    window: int = 3
    buckets: int = 8
    max_distance: int = 16
    label_smoothing: float = 0.1
    warmup: int = 4000
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
    alignment: str = "equal-lengths"
    sliding_window: bool = False
    soft_cap: float | None = None
    query_key_norm: str = "none"
    memory: str = "separate"
    positions: str = "none"
    rotary_pairing: str = "halves"
    rotary_base: float = 10000.0
    rotary_scaling: float = 1.0
    bias_kind: str = "alibi"
    direction: str = "causal"
    entrance: str = "none"
    embedding_scale: str = "none"
    padding_row: str = "trained"
    segments: bool = False
    embedding_norm: bool = False
    tied: bool = False
    head: str = "linear"
    head_bias: bool = False
    head_scale: str = "none"
    cell: str = "attention"
    shifts: bool = True
    smoothing: str = "all-classes"
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
