"""torchtune 0.6.1: under disable_kv_cache a plain pass is not causal.

With caches set up and disabled, a call needs no mask; ``MultiHeadAttention`` is then causal only where ``self.kv_cache is None``, and it is not
None, only disabled. The documented use, a forward pass between two generations, sees the future.
Mend: ``is_causal=mask is None and not self.cache_enabled and self.is_causal``.
"""

from importlib.metadata import version

import torch
from torchtune.models.llama3_1 import llama3_1
from torchtune.modules.common_utils import disable_kv_cache

print("torchtune", version("torchtune"), "torch", torch.__version__)
torch.manual_seed(0)
model = llama3_1(
    vocab_size=61, num_layers=2, num_heads=4, num_kv_heads=2, embed_dim=32, max_seq_len=24, intermediate_dim=40
).eval()
ids, other = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 3, 4, 9]])
with torch.no_grad():
    before = model(ids)
    print(
        f"without caches: the last token changes the logits before it by {(before - model(other))[:, :4].abs().max():.1e}"
    )
    model.setup_caches(1, torch.float32, decoder_max_seq_len=24)
    with disable_kv_cache(model):
        after = model(ids)
        print(f"caches disabled: it changes them by {(after - model(other))[:, :4].abs().max():.1e},", end=" ")
        print(f"and all logits differ by {(after - before).abs().max() / before.abs().max():.1e} of their size")
