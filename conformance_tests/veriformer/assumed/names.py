"""Names: what the parameters of other people's constructors and calls are called, in one place.

A name is compared without case, and without underscores. A word may mean several things; which one is tried first depends on the
words beside it, and what is built and called with it decides.
"""

import re
from collections.abc import Collection, Iterator

from veriformer_spec.role import MODELS, Role


def plain(name: str) -> str:
    """A name without case and underscores."""
    return name.lower().replace("_", "")


def _words(text: str) -> frozenset[str]:
    return frozenset(map(plain, text.split()))


SIZES = {
    "d_model": _words(
        "d_model dim_model model_dim hidden_size embed_dim embedding_dim emb_dim embeds_dim n_embd n_embed n_emb num_embed "
        "num_hiddens dim d emb embed embedding emb_size embed_size embedding_size d_embed d_emb hid_dim model_size size features "
        "num_features n_features feature_dim feature_size features_dim units width channels num_channels c embd k normalized_shape "
        "norm_shape n_state model_dimension embedding_dimension ffn_num_input ffn_num_outputs token_dim n_units num_units d_embedding "
        "dim_embed dim_embedding query_dim context_dim q_dim kv_dim d_cross cross_dim d_context encoder_dim decoder_dim latent_dim"
    ),
    "heads": _words(
        "heads n_heads nhead n_head num_heads num_head nb_heads num_attention_heads n_attn_heads attention_heads h nheads head "
        "n_attention_heads attn_heads number_of_heads head_count num_attn_heads attention_head_num encoder_attention_heads"
    ),
    "kv_heads": _words("kv_heads n_kv_heads num_kv_heads num_key_value_heads n_kv_head kv_head n_query_groups"),
    "d_head": _words(
        "d_head head_dim head_size dim_head d_k d_v d_q key_dim value_dim attention_head_size dim_k dim_v dk dv"
    ),
    "d_ff": _words(
        "d_ff dim_feedforward ff_dim intermediate_size ffn_dim ffn_hidden ff_hidden d_ffn d_inner pf_dim ffn_num_hiddens mlp_dim ff_size "
        "d_mlp inner_dim ffn_hidden_size feedforward_dim feed_forward_dim ff_hidden_dim dim_ff ffn_size n_inner ffn_embed_dim "
        "mlp_hidden_dim mlp_hidden_size dim_feed_forward intermediate_dim ff ffn hidden_features ff_hidden_size mlp_size "
        "feed_forward_size feedforward_size feedforward d_feedforward d_feed_forward ff_inner_dim dim_mlp dim_ffn ffn_inner_dim n_hidden "
        "encoder_ffn_dim feed_forward_hidden d_fc"
    ),
    "layers": _words(
        "layers n_layers num_layers num_layer n_layer depth num_hidden_layers n_blocks num_blks num_blocks num_encoder_layers "
        "num_decoder_layers n_enc_layers n_dec_layers n_block nb_layers blocks nlayers encoder_layers n num_decoder_layer layer_num"
    ),
    "vocab": _words(
        "vocab vocab_size num_tokens n_tokens ntoken ntokens n_vocab num_embeddings src_vocab tgt_vocab trg_vocab src_vocab_size "
        "tgt_vocab_size trg_vocab_size vocabulary_size num_classes n_classes num_words n_words vocab_len input_vocab_size "
        "target_vocab_size src_vocab_len num_vocab n_src_vocab n_trg_vocab n_tgt_vocab num_emb dictionary_size padded_vocab_size"
    ),
    "max_len": _words(
        "max_len max_length max_seq_len block_size context_length context_size seq_length seq_len ctx_len n_ctx n_positions maxlen "
        "max_position_embeddings max_sequence_length max_seq_length context_len sequence_length max_positions seqlen max_position "
        "window_size max_context_length length n_position num_positions context_window max_len_seq src_max_len trg_max_len"
    ),
    "pad_id": _words(
        "pad_idx padding_idx src_pad_idx trg_pad_idx tgt_pad_idx pad_token_id pad_id pad pad_index pad_token padding_id"
    ),
}
"""Sizes of ``Config``, by what others call them."""

RATES = _words(
    "dropout dropout_rate drop_rate drop_prob dropout_p dropout_prob p attn_pdrop resid_pdrop embd_pdrop attention_dropout drop rate "
    "attn_dropout residual_dropout hidden_dropout_prob attention_probs_dropout_prob proj_drop attn_drop hidden_dropout pdrop ff_dropout "
    "dropout_ratio embed_dropout emb_dropout resid_dropout activation_dropout attention_drop prob dropout_probability classifier_dropout"
)
RATIOS = _words(
    "mlp_ratio ff_mult forward_expansion expansion_factor expansion ff_hidden_mult mult ff_expansion ff_ratio widening_factor hidden_mult "
    "ffn_mult mlp_factor ff_factor expansion_ratio feedforward_expansion"
)
"""How many times ``d_model`` the feed-forward network has inside."""
EITHER_HIDDEN = _words(
    "hidden_dim hidden_size hidden d_hidden num_hidden hidden_features hidden_units num_hiddens n_hid nhid d_hid"
)
"""The tokens' features where nothing else says them; where something does, those inside the feed-forward network."""
ENDS = _words(
    "input_dim in_dim in_features d_in input_size output_dim out_dim out_features d_out output_size input_features"
)
"""Of a model over ids the vocabulary, elsewhere the tokens' features."""
EITHER_HEAD = _words("key_size query_size value_size k_size v_size q_size d_key d_value d_query")
"""The tokens' features, or those of a head."""

FLAGS = {
    "config.norm == 'pre'": _words(
        "norm_first pre_norm prenorm normalize_before pre_layer_norm is_pre_norm use_pre_norm pre_ln"
    ),
    "config.causal": _words("causal is_causal mask masked use_mask autoregressive apply_mask causal_mask"),
    "config.bias": _words("bias use_bias qkv_bias add_bias attention_bias mlp_bias"),
    "config.eps": _words("eps layer_norm_eps norm_eps epsilon variance_epsilon layer_norm_epsilon ln_eps rms_norm_eps"),
    "config.tied": _words("tie_weights tied weight_tying tie_word_embeddings share_weights tie_embeddings"),
    "config.activation": _words("activation hidden_act act activation_function act_fn"),
}
"""Options that stand for a claim: passed where the claim is made, or where they have no default; elsewhere the default stays."""
CLAIM_OF_FLAG = {
    "config.norm == 'pre'": "norm",
    "config.causal": "causal",
    "config.bias": "bias",
    "config.eps": "eps",
    "config.tied": "tied",
    "config.activation": "activation",
}
BATCH_FIRST = _words("batch_first")
DEVICES = _words("device")
BATCHES = _words("b batch bs bsz batch_size n nbatches n_batch num_batches bz")
TIMES = _words("t time s seq seq_len l length seq_length tgt_len src_len seqlen q_len query_len time_steps num_tokens")
"""What the axes of an input are called where it is taken apart."""
SETTINGS = _words(
    "config cfg args conf opt opts hparams params options settings model_args configuration hp model_config model_cfg"
)
"""One parameter that holds all others."""

ATTENTIONS = _words(
    "self_attn self_attention attention attn src_attn cross_attn cross_attention mha multi_head_attention enc_attn encoder_attention "
    "multihead_attn masked_attention source_attn multi_head_attn encoder_decoder_attention"
)
FEED_FORWARDS = _words(
    "feed_forward feedforward ff ffn mlp positionwise_feedforward pos_ffn position_wise_feed_forward feed_forward_block"
)
LAYERS = _words("layer encoder_layer decoder_layer block enc_layer dec_layer encoder_block decoder_block")
STACKS = _words("encoder decoder")
"""Parts that a constructor may take ready made."""

TOKENS = _words(
    "x src input inputs hidden_states hidden_state hidden embeddings embedding tokens seq sequence features inp tensor data emb enc_input "
    "X h xs input_tensor tgt trg target dec_input y token_embeddings input_embeds enc_inputs dec_inputs"
)
QUERIES = _words("q query queries xq x_q query_input")
KEYS = _words("k key keys xk x_k")
VALUES = _words("v value values xv x_v")
MEMORIES = _words(
    "memory context encoder_output enc_output enc_src encoder_hidden_states enc_out encoder_outputs enc_outputs enc mem src source cond "
    "encoder_out enc_memory x_enc kv encoder_states cross encoder_memory key_value_states"
)
IDS = _words(
    "idx ids input_ids token_ids tokens x src input inputs seq indices in_idx input_seq sequence text xs inp input_tokens"
)
SOURCES = _words(
    "src source src_ids input_ids enc_input encoder_input encoder_inputs enc_inputs enc_x source_ids src_seq x enc_X src_tokens inputs"
)
TARGETS = _words(
    "tgt trg target tgt_ids decoder_input_ids dec_input decoder_input decoder_inputs dec_inputs dec_x target_ids trg_seq y dec_X targets outputs"
)
LABELS = _words("targets labels target y")
"""What a model over ids may be given beside them, to compute its loss."""
MASK_WORDS = ("mask", "pad", "bias", "lens")
"""A parameter whose name holds one of these is tried as a mask."""
OTHER_SIDE = ("memory", "src", "enc", "cross", "source", "context")
"""Words in the name of a mask that speak of the memory, where there is one."""


def meanings(name: str, beside: Collection[str], role: Role, *, guess: bool = True) -> Iterator[str]:
    """The sizes of ``Config`` that a constructor's parameter may mean, likely ones first.

    Args:
        beside: the other parameters' names.
        guess: read the words of a name that is in no list, too.
    """
    word = plain(name)
    others = {plain(each) for each in beside} - {word}
    if word in ENDS:
        yield from ("vocab", "d_model") if role in MODELS or role is Role.TOKEN_EMBEDDING else ("d_model",)
        return
    if word in EITHER_HEAD:
        yield from ("d_model", "d_head")
        return
    if word in EITHER_HIDDEN:
        said = bool(others & ((SIZES["d_model"] - EITHER_HIDDEN) | (ENDS if role not in MODELS else frozenset())))
        inside = bool(others & (SIZES["d_ff"] | RATIOS))
        yield from ("d_ff", "d_model") if said and not inside else ("d_model", "d_ff")
        return
    if name == "N":
        yield "layers"
        return
    if word == "k" and "heads" not in others and others & {"d", "dim", "dmodel"}:
        yield "d_head"
    if word == "n" and "h" not in others:
        yield "layers"
        yield "heads"
        return
    known = [meaning for meaning, words in SIZES.items() if word in words]
    yield from known or (_by_parts(name) if guess else ())


_PARTS = (
    ("d_ff", r"ff|ffn|ffw|feed|feedforward|mlp|pf|inner|intermediate|expand|expanded"),
    ("vocab", r"vocab|vocabulary|tokens|words"),
    ("d_head", r"(?:dim|size|d)_heads?|heads?_(?:dim|size|d)"),
    ("heads", r"heads?|nhead"),
    ("layers", r"layers?|blocks?|depth"),
    ("pad_id", r"pad|padding"),
    ("max_len", r"len|length|positions?|ctx|context"),
    ("d_model", r"dim|size|embd?|embed|embedding|model|hidden|features|units|width|channels"),
)
"""Of a name that is in no list, what its words say; the first that fits."""


def _by_parts(name: str) -> Iterator[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    for meaning, words in _PARTS:
        if re.search(rf"(?:^|_)(?:{words})(?:_|$)", spaced):
            yield meaning
            return


def speaks_of_a_mask(name: str) -> bool:
    """Whether a parameter of a call is tried as a mask."""
    return any(each in name.lower() for each in MASK_WORDS)
