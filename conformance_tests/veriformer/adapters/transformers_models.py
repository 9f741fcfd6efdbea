"""Models of transformers as subjects: any causal, masked or encoder-decoder class by name, ``transformers:LlamaForCausalLM``.

What is translated: masks are whole numbers there; logits stand in an output; positions count real tokens only where they are passed,
as ``generate`` passes them; a cache is passed, changed in place, and comes back with the output.
"""

import copy
import dataclasses
import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from veriformer.adapters.transformers_claims import BEYOND, claims_of
from veriformer.adapters.transformers_configs import COUNT_BEHIND_PADDING, tiny
from veriformer.declaration import Declaration
from veriformer.steps import Steps
from veriformer_spec.config import PADDING_SIDES, Config, validated
from veriformer_spec.role import Role

transformers = importlib.import_module("transformers")  # untyped, and too large for a type checker to follow
transformers.logging.set_verbosity_error()
auto = importlib.import_module("transformers.models.auto.modeling_auto")

ROLES = {
    Role.ENCODER_DECODER: "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",  # first: some of them are listed as masked models too
    Role.CAUSAL_LM: "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    Role.MASKED_LM: "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
}
"""Where transformers lists the classes of each role."""

LISTED = (
    "GPT2LMHeadModel", "GPT2LMHeadModel eager", "GPTNeoXForCausalLM", "GPTNeoXForCausalLM sequential",
    "LlamaForCausalLM", "LlamaForCausalLM eager", "LlamaForCausalLM static",
    "MistralForCausalLM", "MistralForCausalLM sliding", "MistralForCausalLM sliding eager", "MistralForCausalLM sliding static",
    "Qwen3ForCausalLM", "Qwen3ForCausalLM sliding", "Gemma2ForCausalLM", "Gemma2ForCausalLM sliding",
    "OPTForCausalLM", "FalconForCausalLM", "FalconForCausalLM sequential", "BloomForCausalLM",
    "BertForMaskedLM", "BertForMaskedLM eager", "T5ForConditionalGeneration", "T5ForConditionalGeneration eager",
    "BartForConditionalGeneration", "BartForConditionalGeneration eager",
)  # fmt: skip
"""What ``veriformer check transformers`` judges."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What a word after the class's name changes.

    Attributes:
        fields: of the configuration, as far as the class has them; a function is given ours.
        claims: made besides, or in place of others.
        attention: the implementation of attention; empty leaves it to the class.
        static: whether the cache has its full length from the beginning.
        says: whether it takes away what no claim can say.
    """

    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    claims: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    attention: str = ""
    static: bool = False
    says: bool = False


OPTIONS: Mapping[str, Option] = {
    "eager": Option(attention="eager"),
    "static": Option(static=True),
    "sliding": Option(
        fields={
            "sliding_window": lambda config: config.window,
            "layer_types": lambda config: ["sliding_attention"] * config.layers,
            "use_sliding_window": True,
        },
        claims={
            "sliding_window": True,
            "padding_sides": ("right", "left"),
        },  # windows count padding between words, as cells do
    ),
    "sequential": Option(
        fields={"use_parallel_residual": False, "parallel_attn": False, "multi_query": False},
        says=True,
    ),
}
"""Words that may stand after a class's name, any of them together."""


class Models(Mapping[str, Declaration]):
    """Every class by its name, with options after a blank; iteration gives what is judged where the library alone is named."""

    def __iter__(self) -> Iterator[str]:
        return iter(LISTED)

    def __len__(self) -> int:
        return len(LISTED)

    def __getitem__(self, name: str) -> Declaration:
        class_name, *words = name.split()
        role = next((role for role, names in classes().items() if class_name in names), None)
        if role is None or not set(words) <= OPTIONS.keys():
            raise KeyError(name)
        return declaration(name, getattr(transformers, class_name), role, [OPTIONS[word] for word in words])

    @property
    def more(self) -> Sequence[str]:
        """Every class that is answered to."""
        return [name for names in classes().values() for name in names]


def classes() -> Mapping[Role, Sequence[str]]:
    """The names of the classes of each role."""
    return {role: list(dict.fromkeys(getattr(auto, table).values())) for role, table in ROLES.items()}


def subjects() -> Mapping[str, Declaration]:
    """Every class by its name."""
    return Models()


def declaration(name: str, model: Any, role: Role, options: Sequence[Option]) -> Declaration:
    """One class of transformers."""
    decodes = {"is_decoder": True} if role is Role.CAUSAL_LM else {}
    chosen = {**decodes, **{key: value for each in options for key, value in each.fields.items()}}
    attention = next(
        (each.attention for each in options if each.attention), "sdpa" if supports_sdpa(model) else "eager"
    )

    def build(config: Config) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = tiny(model, config, **chosen)
            theirs._attn_implementation = attention  # noqa: SLF001  # as from_pretrained does
            return model(theirs), CALLS[role]

    claims = claims_of(model, role)
    if role is Role.CAUSAL_LM:
        counts = "position_ids" in parameters(model)
        claims |= {
            "cache": "past_key_values" in parameters(model),
            "padding_sides": PADDING_SIDES if counts else ("right",),
        }
    for each in options:
        claims |= each.claims
    steps = dataclasses.replace(STEPS, start=static_cache) if any(each.static for each in options) else STEPS
    return Declaration(
        name=name,
        role=role,
        build=build,
        claims=validated(role, claims),
        steps=steps if claims.get("cache") else None,
        beyond="" if any(each.says for each in options) else BEYOND.get(model.config_class.model_type, ""),
    )


def supports_sdpa(model: Any) -> bool:
    """Whether the class says that torch's own kernel serves it."""
    return bool(model._supports_sdpa)  # noqa: SLF001  # there is no public way to ask


def takes_positions(model: Any) -> bool:
    """Whether the class has to be told where each token stands; some count real tokens themselves."""
    return "position_ids" in parameters(model) and model.config_class.model_type not in COUNT_BEHIND_PADDING


def parameters(model: Any) -> Mapping[str, inspect.Parameter]:
    """What a call of the class takes."""
    return inspect.signature(model.forward).parameters


def masked(module: nn.Module, mask: Tensor | None, new: int) -> dict[str, Tensor]:
    """The mask over past and new tokens, and where the last ``new`` of them stand among the real ones."""
    if mask is None:
        return {}
    places = (mask.long().cumsum(1) - 1).clamp(min=0)[:, mask.shape[1] - new :]
    return {"attention_mask": mask.long(), **({"position_ids": places} if takes_positions(type(module)) else {})}


def causal(module: Any, ids: Tensor, mask: Tensor | None = None) -> Any:
    """Logits of a causal model in one pass."""
    return module(input_ids=ids, **masked(module, mask, ids.shape[1]), use_cache=False).logits


def masked_lm(module: Any, ids: Tensor, mask: Tensor | None = None, segments: Tensor | None = None) -> Any:
    """Logits of a masked model."""
    more = {} if segments is None else {"token_type_ids": segments}
    return module(input_ids=ids, attention_mask=None if mask is None else mask.long(), **more).logits


def encoder_decoder(
    module: Any, source: Tensor, target: Tensor, source_mask: Tensor | None = None, target_mask: Tensor | None = None
) -> Any:
    """Logits of an encoder-decoder at every target position."""
    masks = {"attention_mask": source_mask, "decoder_attention_mask": target_mask}
    said = {name: mask.long() for name, mask in masks.items() if mask is not None}
    return module(input_ids=source, decoder_input_ids=target, use_cache=False, **said).logits


CALLS: Mapping[Role, Callable[..., Any]] = {
    Role.CAUSAL_LM: causal,
    Role.MASKED_LM: masked_lm,
    Role.ENCODER_DECODER: encoder_decoder,
}


def step(module: Any, ids: Tensor, mask: Tensor | None, past: Any) -> tuple[Tensor, Any]:
    """The logits at the new ids; the cache is changed in place."""
    output = module(input_ids=ids, **masked(module, mask, ids.shape[1]), past_key_values=past, use_cache=True)
    return output.logits, output.past_key_values


def reorder(_: nn.Module, past: Any, rows: Tensor) -> Any:
    """As beam search does it."""
    past.reorder_cache(rows)
    return past


def static_cache(module: Any, _: int, longest: int) -> Any:
    """A cache of its full length from the beginning, as ``cache_implementation="static"`` makes it."""
    return transformers.StaticCache(config=module.config, max_cache_len=longest)


STEPS = Steps(start=lambda *_: None, step=step, reorder=reorder, copy=lambda _, past: copy.deepcopy(past))
