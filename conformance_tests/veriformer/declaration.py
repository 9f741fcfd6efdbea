"""What an adapter declares: the role, the claims, how to build and call the subject."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor, nn

from veriformer.errors import Unsupported, UsageError
from veriformer.steps import Steps
from veriformer_spec.config import ClaimError, Config, validated
from veriformer_spec.role import Role

Build = Callable[[Config], Any]
Weights = Callable[[nn.Module], Mapping[str, Tensor]]
_Build = TypeVar("_Build", bound=Build)

ATTRIBUTE = "__veriformer__"
"""Where ``subject`` leaves the declaration on a build function."""

SIZE_NAMES = (
    "d_model",
    "heads",
    "kv_heads",
    "d_head",
    "d_value",
    "d_ff",
    "layers",
    "vocab",
    "window",
    "d_input",
    "buckets",
    "max_distance",
    "max_len",
    "batch",
    "q_len",
    "k_len",
)


class Fixed:
    """Sizes that the subject has and cannot change; the cases are drawn within them.

    Raises:
        UsageError: a size that does not exist, is not a positive whole number, or contradicts another.
    """

    def __init__(self, **sizes: int) -> None:
        for name, value in sizes.items():
            if name not in SIZE_NAMES:
                raise UsageError(f"sizes: {name}={value!r} does not exist; Fixed takes {', '.join(SIZE_NAMES)}")
            if type(value) is not int or value < 1:
                raise UsageError(f"sizes: {name}={value!r} must be a whole number of 1 or more")
        d_model, heads, d_head = (sizes.get(name) for name in ("d_model", "heads", "d_head"))
        if d_model and heads and d_model % heads:
            raise UsageError(
                f"sizes: d_model={d_model} must be a multiple of heads={heads}: features are dealt to heads evenly"
            )
        if d_model and heads and d_head and d_model != heads * d_head:
            raise UsageError(f"sizes: d_model={d_model} must be heads={heads} times d_head={d_head}; leave d_head out")
        buckets, max_distance = sizes.get("buckets"), sizes.get("max_distance")
        if (buckets is None) != (max_distance is None):
            given, missing = ("buckets", "max_distance") if buckets else ("max_distance", "buckets")
            raise UsageError(
                f"sizes: {given}={sizes[given]} goes with {missing}, which is missing: together they say which distances share one"
            )
        if buckets and max_distance and max_distance <= buckets // 2:
            raise UsageError(
                f"sizes: max_distance={max_distance} must be larger than half of buckets={buckets}: the first half has one distance each"
            )
        self.sizes: Mapping[str, int] = sizes

    def __repr__(self) -> str:
        return f"Fixed({', '.join(f'{name}={value}' for name, value in self.sizes.items())})"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What is known of a subject before it is built.

    Attributes:
        build: takes a ``Config``; returns a module called in the spec's conventions, ``(module, call)`` where ``call(module, ...)``
            translates, or a bare function where ``has_module`` is False.
        weights: takes the module; returns its tensors under the reference's parameter names, as views where possible.
        steps: how the subject goes on from what it has read, where the claim ``cache`` says that it can.
        beyond: what the subject does that no claim can say, in words, such as sublayers in parallel: the reference is then no oracle
            for it, and what would compare with the reference is not checked, with this reason. Everything else is.
        expected_failures: clause ids that are known not to hold, with the reason and a link.
        during: entered around everything the subject does, and around nothing else; planted faults are patched in by it.
    """

    name: str
    role: Role
    build: Build
    claims: Mapping[str, Any]
    has_module: bool = True
    weights: Weights | None = None
    steps: Steps | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    beyond: str = ""
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    during: Callable[[], Any] | None = None


def subject(
    role: str,
    *,
    weights: Weights | None = None,
    sizes: Fixed | None = None,
    steps: Steps | None = None,
    beyond: str = "",
    module: Any = ...,
    **claims: object,
) -> Callable[[_Build], _Build]:
    """Declare what the build function below builds.

    Args:
        role: one of the spec's roles, such as ``"encoder-layer"``.
        weights: a function from the built module to its tensors under the reference's parameter names.
        sizes: sizes that cannot be changed.
        steps: how a causal language model goes on from what it has read; needed where ``cache=True`` is claimed.
        beyond: what the subject does that no claim can say; what would compare with the reference is then not checked.
        module: ``None`` says that ``build`` returns a bare function without parameters.
        claims: options, as in ``veriformer_spec.config.CLAIMS``.

    Raises:
        UsageError: an unknown role, or a claim that a cache works without saying how.
        ClaimError: an unknown claim, or a value of one.
    """
    known = role_named(role)
    checked = validated(known, claims)
    require_steps(checked, steps)

    def declare(build: _Build) -> _Build:
        declaration = Declaration(
            name=getattr(build, "__name__", str(build)),
            role=known,
            build=build,
            claims=checked,
            has_module=module is not None,
            weights=weights,
            steps=steps,
            beyond=beyond,
            sizes=sizes.sizes if sizes else {},
        )
        setattr(build, ATTRIBUTE, declaration)
        return build

    return declare


def require_steps(claims: Mapping[str, Any], steps: Steps | None) -> None:
    """Refuse the claim ``cache=True`` where nobody says how to go on.

    Raises:
        UsageError: it is made, and ``steps`` is missing.
    """
    if claims.get("cache") and steps is None:
        raise UsageError(
            "cache=True needs steps=veriformer.Steps(start=..., step=...): start(module, batch, longest) gives an empty state, and "
            "step(module, ids, mask, state) gives the logits at the new ids and the state after them"
        )


def role_named(name: str) -> Role:
    """The role called ``name``.

    Raises:
        UsageError: there is none.
    """
    try:
        return Role(name)
    except ValueError:
        raise UsageError(f"role {name!r} does not exist; the roles are {', '.join(Role)}") from None


__all__ = [
    "ATTRIBUTE",
    "Build",
    "ClaimError",
    "Declaration",
    "Fixed",
    "Steps",
    "Unsupported",
    "UsageError",
    "Weights",
    "require_steps",
    "role_named",
    "subject",
]
