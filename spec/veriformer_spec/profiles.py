"""Profiles: the models that everyone knows, each as a role and the claims that make it one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from veriformer_spec.role import Role


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One known model.

    Attributes:
        name: what people call it.
        role: what it is.
        claims: what it claims beyond the defaults of its role.
        source: the paper that describes it.
    """

    name: str
    role: Role
    claims: Mapping[str, object] = field(default_factory=dict)
    source: str


_TABLE = (
    Profile(
        name="original-2017",
        role=Role.ENCODER_DECODER,
        claims={"positions": "sinusoidal", "embedding_scale": "root-d_model", "tied": True, "dropout": "on"},
        source="Vaswani et al. 2017",
    ),
    Profile(
        name="bert",
        role=Role.MASKED_LM,
        claims={
            "activation": "gelu", "positions": "learned", "segments": True, "embedding_norm": True, "eps": 1e-12,
            "tied": True, "head": "transform", "head_bias": True, "dropout": "on",
        },
        source="Devlin et al. 2019",
    ),
    Profile(
        name="gpt-2",
        role=Role.CAUSAL_LM,
        claims={
            "norm": "pre", "activation": "gelu-tanh", "positions": "learned", "tied": True, "cache": True, "dropout": "on",
        },
        source="Radford et al. 2019",
    ),
    Profile(
        name="llama",
        role=Role.CAUSAL_LM,
        claims={
            "norm": "pre", "normalization": "rms", "activation": "swiglu", "bias": False, "eps": 1e-6, "positions": "rotary",
            "kv_heads": "grouped", "cache": True, "padding_sides": ("right", "left", "interior"),
        },
        source="Touvron et al. 2023",
    ),
    Profile(
        name="t5",
        role=Role.ENCODER_DECODER,
        claims={
            "norm": "pre", "normalization": "rms", "bias": False, "eps": 1e-6, "positions": "relative", "scale": "none",
            "tied": True, "head_scale": "inverse-root-d_model", "dropout": "on",
        },
        source="Raffel et al. 2020",
    ),
    Profile(
        name="time-series",
        role=Role.ENCODER,
        claims={"activation": "gelu", "entrance": "projection", "positions": "learned", "dropout": "on"},
        source="Zerveas et al. 2021",
    ),
    Profile(
        name="bahdanau",
        role=Role.ENCODER_DECODER,
        claims={"cell": "gru"},
        source="Bahdanau et al. 2015",
    ),
)  # fmt: skip

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in _TABLE}
"""Every profile by its name, oldest family first."""
