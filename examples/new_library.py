"""A library that Veriformer has never heard of, judged in ten lines.

python -m pip install --no-deps curated-transformers catalogue
veriformer check examples/new_library.py:curated
"""

from curated_transformers.layers import attention
from curated_transformers.layers.attention import AttentionMask as Mask

import veriformer


@veriformer.subject("multi-head-attention", memory="query", kv_heads="grouped")
def curated(config):
    heads = attention.AttentionHeads(n_query_heads=config.heads, n_key_value_heads=config.kv_heads, qkv_split=None)
    scorer = attention.ScaledDotProductAttention(dropout_prob=0.0, linear_biases=None)
    sizes = {"attention_heads": heads, "hidden_width": config.d_model, "use_bias": True}
    own = attention.SelfAttention(attention_scorer=scorer, qkv_mode=attention.QkvMode.SEPARATE, **sizes)
    return own, lambda own, x, _, mask=None: own(x, Mask(x[..., 0].isfinite() | True if mask is None else mask))[0]
