"""First departure: the named point at which a planted fault leaves the reference, and silence where nothing does."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from veriformer.adapters import reference
from veriformer.declaration import Declaration
from veriformer.departure import departure
from veriformer.faults.catalogue import FAULTS
from veriformer.preflight import prepared, probe_case
from veriformer.verdict import Departure
from veriformer_reference.build import build
from veriformer_spec.config import Config
from veriformer_spec.role import Role


def seen(declaration: Declaration, names: Mapping[str, str] | None = None) -> Departure | None:
    """Where a subject departs from the reference that holds its weights."""
    subject = prepared(declaration).subject
    instance = subject.instance(probe_case(subject))
    module = build(subject.role, instance.config)
    assert isinstance(module, nn.Module)
    module = module.double().eval()
    held = dict(instance.module_or_not_checked().named_parameters())
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(held[names[name] if names else name])
    probes = [subject.inputs(probe_case(subject, mask=mask)) for mask in ("none", "padding") if mask in subject.masks]
    return departure(instance, probes, module)


@pytest.mark.parametrize(
    ("fault", "after", "at"),
    [
        ("merge-heads-without-transpose", "attention: the context of each head", "attention: the merged heads"),
        ("activation-missing", "feed_forward: the hidden features", "feed_forward: the activation"),
        ("unbiased-variance", "the sum with the skip", "attention_norm: the norm"),
        ("mask-ignored", "attention: the scores with their bias", "attention: the attention weights"),
        ("second-skip-from-the-first-input", "feed_forward: the feed-forward output", "the sum with the skip (2)"),
    ],
)
def test_a_planted_fault_departs_where_it_is_planted(fault: str, after: str, at: str) -> None:
    """Not where its consequences are first large, and not at a branch that it cannot reach."""
    (found,) = {
        (each.after, each.at, each.difference > 0)
        for each in map(
            seen, (one for one in FAULTS[fault].subjects() if one.role is Role.ENCODER_LAYER and one.weights)
        )
        if each is not None
    }
    assert found == (after, at, True)


def test_keys_of_the_memory_are_no_sign_that_the_layer_before_was_right() -> None:
    """What a later layer makes of the memory alone agrees, whatever happened before."""
    subject = next(
        one for one in FAULTS["cross-attention-without-a-skip"].subjects() if one.role is Role.DECODER and one.weights
    )
    found = seen(subject)
    assert found is not None
    assert found.at == "layers.0: the sum with the skip (2)"
    assert found.expected != found.got


@pytest.mark.parametrize("role", [Role.MULTI_HEAD_ATTENTION, Role.ENCODER_LAYER, Role.DECODER, Role.CAUSAL_LM])
def test_what_is_right_departs_nowhere(role: Role) -> None:
    """The reference agrees with itself at every point."""
    assert seen(reference.declaration(role)) is None


class SequenceFirst(nn.Module):
    """Another style: sequence first, heads in the batch, one map for all three, the scale in the queries; and perhaps no scale."""

    def __init__(self, config: Config, *, scaled: bool) -> None:
        super().__init__()
        self.heads, self.scaled = config.heads, scaled
        self.query, self.key, self.value, self.output = (nn.Linear(config.d_model, config.d_model) for _ in range(4))

    def forward(self, query: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Masks are not looked at."""
        batch = query.shape[0]

        def in_batch(x: Tensor) -> Tensor:
            return x.transpose(0, 1).reshape(x.shape[1], batch * self.heads, -1).transpose(0, 1)

        q, k, v = in_batch(self.query(query)), in_batch(self.key(memory)), in_batch(self.value(memory))
        weights = torch.softmax((q / q.shape[-1] ** 0.5 if self.scaled else q) @ k.mT, -1)
        seen = (weights @ v).transpose(0, 1).reshape(query.shape[1], batch, -1).transpose(0, 1)
        result: Tensor = self.output(seen)
        return result


@pytest.mark.parametrize("scaled", [True, False])
def test_another_style_is_followed(scaled: bool) -> None:
    """Axes in another order, and joined, are the same numbers; what is never made by itself (scaled scores) is passed over."""
    declaration = Declaration(
        name="sequence-first",
        role=Role.MULTI_HEAD_ATTENTION,
        build=lambda config: SequenceFirst(config, scaled=scaled),
        claims=reference.declaration(Role.MULTI_HEAD_ATTENTION, masks=("none",)).claims,
    )
    found = seen(declaration)
    if scaled:
        assert found is None
    else:
        assert found is not None
        assert (found.after, found.at) == ("the values", "the scores")
