"""x-transformers 2.31.10: options that raise where nothing forbids them.

- rotary positions over two features (the default of a head of four or five) divide by zero: ``dim / (dim - 2)`` in ``RotaryEmbedding``;
- ``attn_data_dependent_alibi`` cannot be cached, though ``can_cache_kv`` is True and ``generate`` caches by default;
- ``attn_sparse_topk=k`` raises on a text shorter than k;
- ``polar_pos_emb`` doubles the features of keys, and the memory keys of ``attn_num_mem_kv`` stay as they are;
- ``attn_cope_soft_onehot_pos`` raises in einx;
- ``dynamic_pos_bias`` computes in float32 and cannot be run in any other dtype.
"""

from importlib.metadata import version

import torch
from loguru import logger
from x_transformers import Decoder, TransformerWrapper

logger.remove()
print("x-transformers", version("x-transformers"), "torch", torch.__version__)
ids = torch.tensor([[1, 2, 3, 4, 5, 6]])


def run(
    words: str, dtype: torch.dtype = torch.float32, length: int = 6, *, cached: bool = False, **options: object
) -> None:
    """Build, call, and say what happens."""
    try:
        layers = Decoder(dim=24, depth=2, heads=4, **options)
        model = TransformerWrapper(num_tokens=11, max_seq_len=16, attn_layers=layers).eval().to(dtype)
        _, cache = model(ids[:, :length], return_intermediates=True)
        if cached:
            print(f"can_cache_kv={model.can_cache_kv}", end=" ")
            model(ids, cache=cache)
        print(f"{words}: fine")
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        print(f"{words}: {type(error).__name__}: {str(error).splitlines()[0][:100]}")


run("rotary, heads of 4", rotary_pos_emb=True, attn_dim_head=4)
run("data-dependent alibi, full pass", attn_data_dependent_alibi=True)
run("data-dependent alibi, cached", attn_data_dependent_alibi=True, length=5, cached=True)
run("top 4 of 6 tokens", attn_sparse_topk=4)
run("top 4 of 2 tokens", attn_sparse_topk=4, length=2)
run("polar positions", polar_pos_emb=True)
run("polar positions, memory keys", polar_pos_emb=True, attn_num_mem_kv=2)
run("CoPE", attn_use_cope=True)
run("CoPE, soft one-hot", attn_use_cope=True, attn_cope_soft_onehot_pos=True)
run("dynamic position bias, float32", dynamic_pos_bias=True)
run("dynamic position bias, bfloat16", dynamic_pos_bias=True, dtype=torch.bfloat16)
