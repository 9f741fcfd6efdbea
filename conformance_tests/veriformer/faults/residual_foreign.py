"""Faults of skips and norms' places, written without the reference."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from torch import nn

import veriformer
from veriformer.faults.fault import Fault
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer
from veriformer_spec import residual


class WithoutSecondSkip(TutorialLayer):
    def second(self, x, before):
        return self.think(self.ln2(x)) if self.norm_first else self.ln2(self.think(x))


@veriformer.subject("encoder-layer")
def post_norm_without_second_skip(config):
    return WithoutSecondSkip(config)


@veriformer.subject("encoder-layer", norm="pre")
def pre_norm_without_second_skip(config):
    return WithoutSecondSkip(config)


SECOND_SKIP_MISSING = Fault(
    id="second-skip-missing",
    sentence="The feed-forward network has no skip around it.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE,),
    source="experience",
    written="x = x + attention(norm1(x)); x = feed_forward(norm2(x))",
    mend="x = x + feed_forward(norm2(x))",
    builds=(post_norm_without_second_skip, pre_norm_without_second_skip),
)


class InPlace(TutorialLayer):
    """``r = x`` is no copy."""

    def first(self, x, mask):
        r = x
        x += self.drop(self.attend(x, mask))
        return self.ln1(x + r)


@veriformer.subject("encoder-layer")
def in_place_sum(config):
    return InPlace(config)


class InPlaceScale(TutorialLayer):
    def first(self, x, mask):
        attended = self.attend(x, mask)
        r = x.clamp_(min=0)
        return self.ln1(r + attended)


@veriformer.subject("encoder-layer")
def in_place_clamp(config):
    return InPlaceScale(config)


RESIDUAL_IS_NO_COPY = Fault(
    id="residual-is-no-copy",
    sentence="The residual is another name of x, which is then changed in place.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, residual.THE_SKIP_ADDS_THE_INPUT_ONCE),
    source="experience",
    written="r = x; x += attention(x); x = norm(x + r)",
    mend="x = norm(x + attention(x))",
    builds=(in_place_sum, in_place_clamp),
)


class FromTheBlock(TutorialLayer):
    def second(self, x, before):
        return before + self.think(self.ln2(x)) if self.norm_first else self.ln2(before + self.think(x))


@veriformer.subject("encoder-layer")
def second_adds_block_input(config):
    return FromTheBlock(config)


@veriformer.subject("encoder-layer", norm="pre")
def second_adds_block_input_pre(config):
    return FromTheBlock(config)


BOTH_SKIPS_FROM_THE_BLOCK = Fault(
    id="both-skips-from-the-block",
    sentence="Both skips start at the layer's input.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER,),
    source="experience",
    written="h = x + attention(norm1(x)); return x + feed_forward(norm2(h))",
    mend="return h + feed_forward(norm2(h))",
    builds=(second_adds_block_input, second_adds_block_input_pre),
)


@veriformer.subject("encoder-layer", norm="pre", activation="relu")
def norm_first_forgotten(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True, layer_norm_eps=config.eps
    )
    return layer, torch_mask


@veriformer.subject("encoder", norm="post")
def norm_first_stays(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.heads,
        config.d_ff,
        config.dropout,
        batch_first=True,
        layer_norm_eps=config.eps,
        norm_first=True,
    )
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False), torch_mask


def torch_mask(module, x, mask=None):
    """torch.nn's masks are True where hidden, one for each head."""
    if mask is None:
        return module(x)
    layer = module.layers[0] if isinstance(module, nn.TransformerEncoder) else module
    heads = layer.self_attn.num_heads
    return module(x, (~mask).expand(len(x), heads, x.shape[1], -1).flatten(0, 1))


NORM_FIRST_FORGOTTEN = Fault(
    id="norm-first-forgotten",
    sentence="norm_first is left as the framework has it, and the norms stand elsewhere than claimed.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED,),
    source="experience",
    written="nn.TransformerEncoderLayer(d_model, heads)",
    mend="nn.TransformerEncoderLayer(d_model, heads, norm_first=True)",
    builds=(norm_first_forgotten, norm_first_stays),
)


@veriformer.subject("encoder", norm="pre", masks=("none", "padding"))
def torch_pre_norm_stack_without_a_norm(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.heads,
        config.d_ff,
        config.dropout,
        batch_first=True,
        layer_norm_eps=config.eps,
        norm_first=True,
    )
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False), torch_mask


@veriformer.subject("encoder")
def torch_post_norm_stack_with_a_norm(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, config.dropout, batch_first=True, layer_norm_eps=config.eps
    )
    last = nn.LayerNorm(config.d_model, config.eps)
    return nn.TransformerEncoder(layer, config.layers, norm=last, enable_nested_tensor=False), torch_mask


NORM_AT_THE_END_NOT_AS_PLACED = Fault(
    id="norm-at-the-end-not-as-placed",
    sentence="torch's encoder gets no norm after pre-norm layers, or gets one after post-norm layers.",
    clauses=(residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM,),
    source="experience",
    written="nn.TransformerEncoder(layer, n)",
    mend="nn.TransformerEncoder(layer, n, norm=nn.LayerNorm(d_model) if norm_first else None)",
    builds=(torch_pre_norm_stack_without_a_norm, torch_post_norm_stack_with_a_norm),
)


class DropsTheSum(TutorialLayer):
    def second(self, x, before):
        return self.drop(x + self.think(self.ln2(x))) if self.norm_first else self.drop(self.ln2(x + self.think(x)))


@veriformer.subject("encoder-layer", dropout="on")
def drops_after_the_norm(config):
    return DropsTheSum(config)


@veriformer.subject("encoder-layer", norm="pre", dropout="on")
def drops_after_the_sum(config):
    return DropsTheSum(config)


DROPOUT_AFTER_THE_SUM = Fault(
    id="dropout-after-the-sum",
    sentence="Dropout stands at the end of the layer, where the skip is in it.",
    clauses=(residual.DROPOUT_FALLS_ON_THE_SUBLAYER,),
    source="experience",
    written="return self.dropout(x + feed_forward(norm(x)))",
    mend="return x + self.dropout(feed_forward(norm(x)))",
    builds=(drops_after_the_norm, drops_after_the_sum),
)


class FixedDropout(TutorialLayer):
    def __init__(self, config):
        super().__init__(config)
        self.drop = nn.Dropout(0.1)


@veriformer.subject("encoder-layer", dropout="on")
def fixed_rate(config):
    return FixedDropout(config)


@veriformer.subject("encoder-layer", dropout="none", norm="pre")
def dropout_although_none(config):
    return TutorialLayer(config)


class NoDropoutEncoder(TutorialEncoder):
    def __init__(self, config):
        super().__init__(config)
        for layer in self.layers:
            layer.drop = nn.Identity()


@veriformer.subject("encoder", dropout="on")
def dropout_left_out(config):
    return NoDropoutEncoder(config)


DROPOUT_NOT_AS_CONFIGURED = Fault(
    id="dropout-not-as-configured",
    sentence="The rate is fixed, or dropout is there where none is claimed, or none where it is.",
    clauses=(residual.DROPOUT_IS_AS_CLAIMED,),
    source="experience",
    written="self.dropout = nn.Dropout(0.1)",
    mend="self.dropout = nn.Dropout(config.dropout)",
    builds=(fixed_rate, dropout_although_none, dropout_left_out),
)


class WithoutFirstNorm(TutorialLayer):
    def first(self, x, mask):
        return x + self.drop(self.attend(x, mask))


@veriformer.subject("encoder-layer")
def first_norm_missing(config):
    return WithoutFirstNorm(config)


@veriformer.subject("encoder-layer", norm="pre")
def first_norm_missing_before(config):
    return WithoutFirstNorm(config)


NORM_MISSING_AROUND_ATTENTION = Fault(
    id="norm-missing-around-attention",
    sentence="Attention has its skip and no norm.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED,),
    source="experience",
    written="x = x + attention(x)",
    mend="x = norm1(x + attention(x)), or x = x + attention(norm1(x))",
    builds=(first_norm_missing, first_norm_missing_before),
)
