"""transformers by name: any class of its three lists, from a tiny configuration whose fields are found by their names."""

import importlib

import pytest
import torch

from veriformer.adapters.libraries import subjects_of
from veriformer.errors import UsageError
from veriformer.faults.matrix import verdicts_on
from veriformer.judge import Effort
from veriformer.verdict import Status
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.config import Config

pytest.importorskip("transformers")
models = importlib.import_module("veriformer.adapters.transformers_models")


def built(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """The module, and its logits for three rows of five tokens."""
    (declaration,) = subjects_of("transformers", name)
    config = Config(kv_heads=2, vocab=13, max_len=16)
    module, call = declaration.build(config)
    ids = torch.randint(1, 13, (3, 5), generator=torch.Generator().manual_seed(1))
    arguments = (ids, ids) if declaration.role == "encoder-decoder" else (ids,)
    return module, call(module.eval(), *arguments)


@pytest.mark.parametrize(
    "name",
    [
        "GPTJForCausalLM", "GPTNeoForCausalLM", "Phi3ForCausalLM", "CohereForCausalLM", "StableLmForCausalLM", "MptForCausalLM",
        "MixtralForCausalLM", "GptOssForCausalLM", "DistilBertForMaskedLM", "RobertaForMaskedLM", "MarianMTModel",
        "MT5ForConditionalGeneration",
    ],
)  # fmt: skip
def test_families_that_nobody_listed(name: str) -> None:
    """Sizes arrive under whatever names: the model is tiny, and gives a logit for each word at each position."""
    module, logits = built(name)
    assert tuple(logits.shape) == (3, 5, 13)
    assert sum(each.numel() for each in module.parameters()) < 200_000


def test_claims_are_read_off_the_configuration() -> None:
    """Positions, norms, gates, tied weights: of four families that differ in all of them."""
    llama, gpt2, bloom, t5 = (
        subjects_of("transformers", name)[0].claims
        for name in ("LlamaForCausalLM", "GPT2LMHeadModel", "BloomForCausalLM", "T5ForConditionalGeneration")
    )
    assert [each["positions"] for each in (llama, gpt2, bloom, t5)] == ["rotary", "learned", "alibi", "relative"]
    assert [each["normalization"] for each in (llama, gpt2, bloom, t5)] == ["rms", "layer", "layer", "rms"]
    assert llama["activation"] == "swiglu" and gpt2["activation"] == "gelu-tanh"
    assert gpt2["tied"] and not llama["tied"]
    assert llama["kv_heads"] == "grouped" and gpt2["kv_heads"] == "equal"


def test_options_change_the_configuration_and_the_claims() -> None:
    """A window that is claimed is there; words may stand together."""
    (sliding,) = subjects_of("transformers", "MistralForCausalLM sliding static")
    assert sliding.claims["sliding_window"] is True
    module, _ = sliding.build(Config(kv_heads=2, window=3, sliding_window=True, causal=True))
    assert module.config.sliding_window == 3
    assert subjects_of("transformers", "MistralForCausalLM")[0].claims["sliding_window"] is False


def test_a_class_that_is_not_there_is_answered_with_the_nearest() -> None:
    """Out of all classes, and not only of those that are judged."""
    with pytest.raises(UsageError, match="did you mean StableLmForCausalLM"):
        subjects_of("transformers", "StableLMForCausalML")
    with pytest.raises(UsageError, match="no subject 'LlamaForCausalLM quick'"):
        subjects_of("transformers", "LlamaForCausalLM quick")


def test_the_cache_protocol_fits() -> None:
    """Token by token, in chunks and reordered, on one class with a window and one without."""
    clauses = [each for each in CLAUSES.values() if each.chapter == "cache" and each.level == "MUST"]
    for name in ("GPT2LMHeadModel", "MistralForCausalLM sliding"):
        (declaration,) = subjects_of("transformers", name)
        asked = [each for each in clauses if each.selected_by(declaration.role, declaration.claims)]
        for verdict in verdicts_on(declaration, asked, Effort(examples=1, seed=0, shrink=False)):
            assert verdict.status is Status.PASS, (name, verdict)
