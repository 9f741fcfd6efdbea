"""x-transformers 2.31.10: with shift_tokens, cached decoding computes another function than the full pass.

``ShiftTokens`` takes half of each token's features from the token before it. With a cache only the new token is passed, and the token
before it is taken for zeros. ``can_cache_kv`` says that caching is possible, and ``generate`` caches by default. Mend: keep the last
token's features in the cache, or let ``can_cache_kv`` be False.
"""

from importlib.metadata import version

import torch
from x_transformers import Decoder, TransformerWrapper

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
torch.manual_seed(0)
ids = torch.randint(1, 11, (1, 6))
for shift_tokens in (0, 1):
    layers = Decoder(dim=24, depth=2, heads=4, shift_tokens=shift_tokens)
    model = TransformerWrapper(num_tokens=11, max_seq_len=16, attn_layers=layers).eval()
    with torch.no_grad():
        full = model(ids)
        _, cache = model(ids[:, :5], return_intermediates=True)
        cached = model(ids, cache=cache)
    apart = (cached[:, -1] - full[:, -1]).abs().max() / full[:, -1].abs().max()
    print(
        f"shift_tokens={shift_tokens}: can_cache_kv={model.can_cache_kv}, cached logits differ by {apart:.1e} of their size"
    )
