"""x-transformers 2.31.10: with attn_kv_heads, query heads take key/value heads in turns, 0 1 0 1, and not in groups, 0 0 1 1.

``Attend.forward`` repeats keys as ``'b kvh n d -> b (r kvh) n d'``. Ainslie et al. 2023 (section 2.2), ``enable_gqa`` of torch and every
checkpoint of a grouped model share a key/value head among neighbours: weights from elsewhere compute something else here. A model that
was trained here is consistent with itself. Mend: ``'b kvh n d -> b (kvh r) n d'``.
"""

from importlib.metadata import version

import torch
from torch.nn.functional import scaled_dot_product_attention
from x_transformers.attend import Attend

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
query, key = torch.zeros(1, 4, 1, 2), torch.zeros(1, 2, 1, 2)  # one query, one key, four heads over two
value = torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 1, 2)  # the value is its key/value head's number
for flash in (False, True):
    print(f"flash={flash}: the heads read", Attend(heads=4, flash=flash)(query, key, value)[0][0, :, 0, 0].tolist())
print("torch, enable_gqa:   ", scaled_dot_product_attention(query, key, value, enable_gqa=True)[0, :, 0, 0].tolist())
