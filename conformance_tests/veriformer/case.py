"""A case: sizes and one seed, on one line."""

import dataclasses
from dataclasses import dataclass

from veriformer.declaration import UsageError
from veriformer_spec.role import CROSS_ATTENDING, Role

SIDES = ("self", "cross")
"""Which key side of a role with two is looked at: its own tokens, or the memory."""

_TOKEN = ("batch", "q_len", "d_model")
_LAYER = ("batch", "q_len", "d_model", "heads", "kv_heads", "d_ff")
_CROSS = ("side", "batch", "q_len", "k_len", "d_model", "heads", "kv_heads", "d_ff")
SHOWN = {
    Role.ATTENTION: ("batch", "q_len", "k_len", "heads", "kv_heads", "d_head", "d_value", "mask"),
    Role.SELF_ATTENTION: (*_TOKEN, "heads", "mask"),
    Role.ADDITIVE_ATTENTION: ("batch", "q_len", "k_len", "d_model", "mask"),
    Role.MULTI_HEAD_ATTENTION: ("batch", "q_len", "k_len", "d_model", "heads", "kv_heads", "mask"),
    Role.LAYER_NORM: _TOKEN,
    Role.RMS_NORM: _TOKEN,
    Role.FEED_FORWARD: (*_TOKEN, "d_ff"),
    Role.POSITIONAL_ENCODING: _TOKEN,
    Role.ROTARY_ENCODING: ("batch", "q_len", "heads", "d_head"),
    Role.ATTENTION_BIAS: ("q_len", "k_len", "heads", "d_head"),
    Role.TOKEN_EMBEDDING: (*_TOKEN, "vocab"),
    Role.ENCODER_LAYER: (*_LAYER, "mask"),
    Role.ENCODER: (*_LAYER, "layers", "mask"),
    Role.DECODER_LAYER: (*_CROSS, "mask"),
    Role.DECODER: (*_CROSS, "layers", "mask"),
    Role.CAUSAL_LM: (*_LAYER, "layers", "vocab", "mask"),
    Role.MASKED_LM: (*_LAYER, "layers", "vocab", "mask"),
    Role.ENCODER_DECODER: (*_CROSS, "layers", "vocab", "mask"),
    Role.DROPOUT: _TOKEN,
    Role.LOSS: ("batch", "q_len", "vocab"),
    Role.LEARNING_RATE_SCHEDULE: ("d_model",),
    Role.GENERATION: ("batch", "q_len", "vocab"),
}
"""The sizes that mean anything for each role, in the order in which they are printed."""
CLAIMED = ("context", "window", "d_input")
"""Sizes that only some claims, or one of two sides, give a meaning; printed where they are not zero."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One draw: everything that a property needs to make its tensors.

    ``d_model`` stands for ``heads * d_head`` except where the role has no heads; ``seed`` decides every number in every tensor.

    Attributes:
        side: of a role with two key sides, the one that ``k_len`` and ``mask`` speak of.
        context: positions of the memory where ``side`` is ``self``; a role with one key side has none.
        vocab: words of the vocabulary; a role without ids has none.
        window: positions that a query sees where a sliding window is claimed; 0 elsewhere.
        d_input: features of a real-valued input that enters by a projection; 0 elsewhere.
    """

    role: Role
    batch: int = 2
    q_len: int = 3
    k_len: int = 3
    d_model: int = 24
    heads: int = 4
    kv_heads: int = 4
    d_value: int = 6
    d_ff: int = 40
    layers: int = 2
    vocab: int = 0
    side: str = "self"
    context: int = 0
    window: int = 0
    d_input: int = 0
    mask: str = "none"
    seed: int = 0

    @property
    def d_head(self) -> int:
        """Features of a query or a key in one head."""
        return self.d_model // self.heads

    def __str__(self) -> str:
        shown = list(SHOWN[self.role])
        if self.side == "self" and self.role in CROSS_ATTENDING:
            shown.remove("k_len")  # the tokens are their own keys
        claimed = [name for name in CLAIMED if getattr(self, name)]
        at = len(shown) - (shown[-1] == "mask")
        return " ".join(f"{name}={getattr(self, name)}" for name in (*shown[:at], *claimed, *shown[at:], "seed"))

    @classmethod
    def parse(cls, role: Role, text: str) -> "Case":
        """The case that printed as ``text``.

        Raises:
            UsageError: a word that is not ``name=value``, or names no size of the role.
        """
        values: dict[str, int | str] = {}
        known = (*SHOWN[role], *CLAIMED, "seed")
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals or name not in known:
                raise UsageError(f"case: {word!r} must read name=value, with a name out of {', '.join(known)}")
            if name == "mask":
                values[name] = value
            elif name == "side":
                if value not in SIDES:
                    raise UsageError(f"case: {word!r} must be side=self or side=cross")
                values[name] = value
            elif value.isdecimal() and (int(value) > 0 or name == "seed"):
                values[name] = int(value)
            else:
                raise UsageError(f"case: {word!r} must give a whole number of 1 or more")
        if "k_len" not in values and "q_len" in values:
            values["k_len"] = values["q_len"]
        if "d_head" in values:
            values["d_model"] = int(values.pop("d_head")) * int(values.get("heads", 1))
        if role in CROSS_ATTENDING and values.get("side", "self") == "self":
            values.setdefault("context", 3)
        # what is not shown is what a case of this role that is drawn has there
        unseen = {"heads": 1, "kv_heads": 1, "d_ff": 1, "layers": 1}
        values |= {name: size for name, size in unseen.items() if name not in SHOWN[role]}
        if role in (Role.SELF_ATTENTION, Role.ROTARY_ENCODING, Role.ATTENTION_BIAS):
            values["kv_heads"] = int(values.get("heads", 1))
        if "vocab" in SHOWN[role]:
            values.setdefault("vocab", 11)
        case = dataclasses.replace(cls(role=role), **values)  # type: ignore[arg-type]  # the names were checked above
        return case if "d_value" in SHOWN[role] else dataclasses.replace(case, d_value=case.d_head)
