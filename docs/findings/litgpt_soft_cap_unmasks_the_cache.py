"""litgpt 0.5.13: with attention_logit_softcapping (Gemma-2) cached attention is not masked at all.

``build_mask_cache`` makes a boolean mask, and the branch for soft-capped scores *adds* it: ``scores = scores + mask``. One is added where a
key may be seen, nothing where it may not. In a prompt every token sees the later ones, and every step sees the empty slots of the cache,
whose number is max_seq_length. Without a cache the mask is made of minus infinities, and right.
Mend: ``scores.masked_fill(~mask, -inf)`` where the mask is boolean.
"""

from importlib.metadata import version

import torch
from litgpt.model import GPT, Config

print("litgpt", version("litgpt"), "torch", torch.__version__)
for cap in (None, 50.0):
    torch.manual_seed(0)
    model = GPT(
        Config(block_size=32, padded_vocab_size=64, n_layer=2, n_head=4, n_embd=32, attention_logit_softcapping=cap)
    ).eval()
    ids, other = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 3, 4, 9]])
    with torch.no_grad():
        full = model(ids)
        print(f"soft cap {cap}")
        for size in (8, 32):
            model.set_kv_cache(batch_size=1, max_seq_length=size)
            prompt = model(ids, input_pos=torch.arange(5))
            future = (prompt - model(other, input_pos=torch.arange(5)))[:, :4].abs().max()
            apart = (prompt - full).abs().max() / full.abs().max()
            print(f"  cache of {size}: logits differ from the full pass by {apart:.1e} of their size;", end=" ")
            print(f"the last token changes those before it by {future:.1e}")
            model.clear_kv_cache()
