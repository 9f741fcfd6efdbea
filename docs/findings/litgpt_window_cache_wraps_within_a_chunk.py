"""litgpt 0.5.13: with a sliding window, a chunk that wraps around the ring buffer computes something else than the full pass.

``KVCache`` writes the chunk's keys over the oldest ones before any query of the chunk has read them, and the mask is the first columns of
the triangle, which no longer belong to the slots: early queries of the chunk miss their past and see their future. A chunk longer than the
window is refused, with the advice to pass chunks that are no longer: these are wrong too.
Only single tokens are right. Mend: attend over the old slots and the chunk, then write.
"""

from importlib.metadata import version

import torch
from litgpt.model import GPT, Config

print("litgpt", version("litgpt"), "torch", torch.__version__)
torch.manual_seed(0)
model = GPT(Config(block_size=32, padded_vocab_size=64, n_layer=1, n_head=4, n_embd=32, sliding_window_size=4)).eval()
ids = torch.arange(1, 13)[None]
with torch.no_grad():
    full = model(ids)
    for chunks in ([1] * 12, [4, 4, 4], [4, 3, 1, 4], [3, 3, 3, 3], [2, 4, 4, 2]):
        model.clear_kv_cache()
        model.set_kv_cache(batch_size=1)
        ends = torch.tensor(chunks).cumsum(0).tolist()
        parts = [
            model(ids[:, end - size : end], input_pos=torch.arange(end - size, end))
            for size, end in zip(chunks, ends, strict=True)
        ]
        apart = (torch.cat(parts, 1) - full).abs().max() / full.abs().max()
        print(f"window 4, chunks {chunks}: differs by {apart:.1e} of the logits' size")
