"""A case: sizes and one seed, on one line."""

import dataclasses
from dataclasses import dataclass

from veriformer.declaration import UsageError
from veriformer_spec.role import Role

_TOKEN = ("batch", "q_len", "d_model")
_STACK = ("batch", "q_len", "d_model", "heads", "kv_heads", "d_ff")
SHOWN = {
    Role.ATTENTION: ("batch", "q_len", "k_len", "heads", "kv_heads", "d_head", "d_value", "mask"),
    Role.MULTI_HEAD_ATTENTION: ("batch", "q_len", "k_len", "d_model", "heads", "kv_heads", "mask"),
    Role.LAYER_NORM: _TOKEN,
    Role.RMS_NORM: _TOKEN,
    Role.FEED_FORWARD: (*_TOKEN, "d_ff"),
    Role.POSITIONAL_ENCODING: _TOKEN,
    Role.ENCODER_LAYER: (*_STACK, "mask"),
    Role.ENCODER: (*_STACK, "layers", "mask"),
}
"""The sizes that mean anything for each role, in the order in which they are printed."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One draw: everything that a property needs to make its tensors.

    ``d_model`` stands for ``heads * d_head`` except where the role has no heads; ``seed`` decides every number in every tensor.
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
    mask: str = "none"
    seed: int = 0

    @property
    def d_head(self) -> int:
        """Features of a query or a key in one head."""
        return self.d_model // self.heads

    def __str__(self) -> str:
        return " ".join(f"{name}={getattr(self, name)}" for name in (*SHOWN[self.role], "seed"))

    @classmethod
    def parse(cls, role: Role, text: str) -> "Case":
        """The case that printed as ``text``.

        Raises:
            UsageError: a word that is not ``name=value``, or names no size of the role.
        """
        values: dict[str, int | str] = {}
        for word in text.split():
            name, equals, value = word.partition("=")
            if not equals or name not in (*SHOWN[role], "seed"):
                raise UsageError(
                    f"case: {word!r} must read name=value, with a name out of {', '.join((*SHOWN[role], 'seed'))}"
                )
            if name == "mask":
                values[name] = value
            elif value.isdecimal() and (int(value) > 0 or name == "seed"):
                values[name] = int(value)
            else:
                raise UsageError(f"case: {word!r} must give a whole number of 1 or more")
        if "k_len" not in values and "q_len" in values:
            values["k_len"] = values["q_len"]
        if "d_head" in values:
            values["d_model"] = int(values.pop("d_head")) * int(values.get("heads", 1))
        # what is not shown is what a case of this role that is drawn has there
        unseen = {"heads": 1, "kv_heads": 1, "d_ff": 1, "layers": 1}
        values |= {name: size for name, size in unseen.items() if name not in SHOWN[role]}
        case = dataclasses.replace(cls(role=role), **values)  # type: ignore[arg-type]  # the names were checked above
        return case if "d_value" in SHOWN[role] else dataclasses.replace(case, d_value=case.d_head)
