"""Near-misses of skips and norms' places: legal, unusual, correct."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import veriformer
from veriformer.faults.fault import NearMiss
from veriformer.faults.residual_foreign import torch_mask
from veriformer.faults.tutorial_layer import TutorialEncoder, TutorialLayer, encoder_names, layer_names
from veriformer_spec import residual


@veriformer.subject("encoder-layer", weights=layer_names, dropout="on")
def tutorial_post(config):
    return TutorialLayer(config)


@veriformer.subject("encoder", weights=encoder_names, norm="pre", dropout="on")
def tutorial_pre_stack(config):
    return TutorialEncoder(config)


class Checkpointed(TutorialLayer):
    """Activations are recomputed; fresh tensors are added to in place; attention weights and hidden features are dropped too."""

    def think(self, x):
        return self.fc2(self.drop(functional.relu_(self.fc1(x))))

    def first(self, x, mask):
        attended = self.drop(self.attend(self.ln1(x), mask))
        return attended.add_(x)

    def forward(self, x, mask=None):
        return checkpoint(super().forward, x, mask, use_reentrant=False)


@veriformer.subject("encoder-layer", norm="pre")
def checkpointed(config):
    return Checkpointed(config)


class SequenceFirst(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention = nn.MultiheadAttention(config.d_model, config.heads, dropout=config.dropout)
        self.layers = nn.Sequential(
            nn.Linear(config.d_model, config.d_ff),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ff, config.d_model),
        )
        self.norms = nn.ModuleList(nn.RMSNorm(config.d_model, eps=config.eps) for _ in range(2))

    def forward(self, x, mask=None):
        x = x.transpose(0, 1)
        hidden = (
            None if mask is None else (~mask).expand(x.shape[1], self.attention.num_heads, len(x), -1).flatten(0, 1)
        )
        normal = self.norms[0](x)
        x = torch.add(x, self.attention(normal, normal, normal, attn_mask=hidden, need_weights=False)[0])
        return (x + self.layers(self.norms[1](x))).transpose(0, 1)


@veriformer.subject("encoder-layer", norm="pre", normalization="rms", activation="gelu", dropout="on", eps=1e-6)
def sequence_first_layer(config):
    return SequenceFirst(config)


@veriformer.subject("encoder", norm="pre", final_norm=False, norm_bias=False)
def without_a_final_norm(config):
    encoder = TutorialEncoder(config)
    encoder.last = nn.Identity()
    for layer in encoder.layers:
        layer.ln1, layer.ln2 = (nn.LayerNorm(config.d_model, eps=config.eps, bias=False) for _ in range(2))
    return encoder


@veriformer.subject("encoder-layer", activation="gelu", norm="pre")
def torch_layer(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model,
        config.heads,
        config.d_ff,
        config.dropout,
        functional.gelu,
        config.eps,
        batch_first=True,
        norm_first=True,
    )
    return layer, torch_mask


@veriformer.subject("encoder", dropout="on")
def torch_stack(config):
    layer = nn.TransformerEncoderLayer(
        config.d_model, config.heads, config.d_ff, config.dropout, layer_norm_eps=config.eps, batch_first=True
    )
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False), torch_mask


TUTORIAL_POST_NORM = NearMiss(
    id="tutorial-post-norm-layer",
    sentence="A post-norm layer with a fused projection, mapped by views.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE, residual.DROPOUT_IS_AS_CLAIMED),
    build=tutorial_post,
)
TUTORIAL_PRE_NORM_STACK = NearMiss(
    id="tutorial-pre-norm-stack",
    sentence="A pre-norm stack with a final norm, mapped by views.",
    clauses=(residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM,),
    build=tutorial_pre_stack,
)
CHECKPOINTED_LAYER = NearMiss(
    id="checkpointed-layer",
    sentence="Activations are recomputed, hidden features are dropped, and fresh tensors are changed in place.",
    clauses=(residual.THE_SKIP_HOLDS_THE_VALUE_BEFORE_THE_SUBLAYER, residual.DROPOUT_FALLS_ON_THE_SUBLAYER),
    build=checkpointed,
)
LAYER_SEQUENCE_FIRST_INSIDE = NearMiss(
    id="layer-sequence-first-inside",
    sentence="A pre-norm layer with RMSNorm works sequence first inside, and drops attention weights.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED, residual.DROPOUT_FALLS_ON_THE_SUBLAYER),
    build=sequence_first_layer,
)
STACK_WITHOUT_A_FINAL_NORM = NearMiss(
    id="stack-without-a-final-norm",
    sentence="A pre-norm stack whose norms have no shift, and which claims to end without a norm.",
    clauses=(residual.A_PRE_NORM_STACK_ENDS_IN_A_NORM,),
    build=without_a_final_norm,
)
TORCH_PRE_NORM_LAYER = NearMiss(
    id="torch-pre-norm-layer",
    sentence="torch's own layer, norm first, whose fused kernel runs without gradients.",
    clauses=(residual.THE_SKIP_ADDS_THE_INPUT_ONCE,),
    build=torch_layer,
)
TORCH_POST_NORM_STACK = NearMiss(
    id="torch-post-norm-stack",
    sentence="torch's own stack of post-norm layers, copied from one layer.",
    clauses=(residual.NORM_PLACEMENT_IS_AS_CLAIMED, residual.DROPOUT_IS_AS_CLAIMED),
    build=torch_stack,
)
